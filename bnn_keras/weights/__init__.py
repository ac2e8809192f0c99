"""Weights: our own files and other people's checkpoints."""

from bnn_keras.weights.loading import load
from bnn_keras.weights.model_file import find_model, read_model

__all__ = ["find_model", "load", "read_model"]
