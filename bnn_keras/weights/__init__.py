"""Weights: our own files and other people's checkpoints."""

from bnn_keras.weights.foreign import register_hdf5_reader, register_torch_naming
from bnn_keras.weights.loading import load
from bnn_keras.weights.model_file import find_model, read_model
from bnn_keras.weights.torch_file import is_torch

__all__ = ["find_model", "is_torch", "load", "read_model", "register_hdf5_reader", "register_torch_naming"]
