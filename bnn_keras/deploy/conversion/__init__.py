"""From a Keras model to a TFLite file for the Larq Compute Engine."""
