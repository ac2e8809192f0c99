"""What the papers print, and the same figures computed from the built models."""
