"""Whether a file is binary and computes what its model computes."""
