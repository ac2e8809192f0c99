"""TFLite files: read, edited and run."""
