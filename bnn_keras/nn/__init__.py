"""Layers, quantizers and normalisation of networks, what is known about a layer, and a model as a graph."""

from bnn_keras.nn import bounds
from bnn_keras.nn.intervals import Interval, Step
from bnn_keras.nn.registration import register, traits_of
from bnn_keras.nn.traits import TorchWeight, Traits

__all__ = ["Interval", "Step", "TorchWeight", "Traits", "bounds", "register", "traits_of"]
