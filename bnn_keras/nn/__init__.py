"""What networks are built of: quantizers, layers, normalisation, and a model as a graph of layer calls."""
