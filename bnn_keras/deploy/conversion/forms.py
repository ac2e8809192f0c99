"""Layers in the form that TFLite computes: the same functions, up to rounding.

Converted as Keras computes them, gelu and softsign become operations that TFLite does not have, softplus
overflows above 88, and LayerNormalization stores a constant for each pixel.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from bnn_keras.nn.activations import name_of
from bnn_keras.nn.graph import Call
from bnn_keras.nn.registration import function_name, is_function


def gelu(x: tf.Tensor) -> tf.Tensor:
    """With erf in place of erfc, the converter knows it as GELU."""
    return 0.5 * x * (1 + tf.math.erf(x * 0.5**0.5))


def softplus(x: tf.Tensor) -> tf.Tensor:
    """No power of a positive number, which could overflow."""
    return tf.nn.relu(x) + tf.math.log(1 + tf.exp(-tf.abs(x)))


def softsign(x: tf.Tensor) -> tf.Tensor:
    """Its definition."""
    return x / (1 + tf.abs(x))


def layer_norm(layer: tf.keras.layers.LayerNormalization, x: tf.Tensor) -> tf.Tensor:
    """Its definition, without Keras's detour over BatchNorm."""
    axes = [axis % len(x.shape) for axis in (layer.axis if np.ndim(layer.axis) else [layer.axis])]
    shape = [n if axis in axes else 1 for axis, n in enumerate(x.shape)]
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    gamma, beta = (None if one is None else tf.reshape(one, shape) for one in (layer.gamma, layer.beta))
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, layer.epsilon)


FORMS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "gelu": gelu,
    "softplus": softplus,
    "softsign": softsign,
}
FUNCTIONS = {"nn.gelu": gelu, "math.softplus": softplus, "nn.softsign": softsign}


def form_of(call: Call) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """The form of a layer or a TensorFlow function; None if it converts as it is."""
    if type(call.layer) is tf.keras.layers.LayerNormalization:
        return functools.partial(layer_norm, call.layer)
    if not is_function(call.layer) or call.kwargs.get("approximate"):
        return None
    return FUNCTIONS.get(function_name(call.layer))


@contextlib.contextmanager
def convertible(layer: Any) -> Iterator[None]:
    """Give a layer with an activation the form that converts."""
    activation = getattr(layer, "activation", None)
    form = FORMS.get(name_of(activation)) if activation is not None else None
    if form is None:
        yield
        return
    layer.activation = form
    try:
        yield
    finally:
        layer.activation = activation
