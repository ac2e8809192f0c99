"""Bounds of what layers round off, for `bnn_keras.nn.register` and the layers of Keras.

Each function here is a `bnn_keras.nn.intervals.Bound`.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn.binary import are_binary, input_of, kernel_of, kernel_quantizer
from bnn_keras.nn.float64 import rebuild
from bnn_keras.nn.intervals import SPARE, TRANSCENDENTAL, UNIT, Interval, Step

LINEAR_ACTIVATIONS = ("linear", "relu", "relu6")
# Of Keras's activations; a quantizer as an activation is monotone as well.
NOT_MONOTONE = ("gelu", "mish", "swish")


def moves(step: Step) -> list[tf.Tensor]:
    """Values only change their place, or the largest of some is taken."""
    return step.at(lambda interval: interval.radius)


def pads(step: Step) -> list[tf.Tensor]:
    """Constants are put around the values."""
    return [high - center for high, center in zip(step.at(lambda x: x.high), step.outputs, strict=True)]


def averages(step: Step) -> list[tf.Tensor]:
    """Each output is the mean of some values of an image, [batch, ..., channels]."""
    (interval,) = step.inputs
    terms = int(np.prod(interval.center.shape[1:-1]))
    radii, magnitudes = step.at(lambda x: x.radius), step.at(lambda x: x.magnitude)
    return [
        radius + (terms + SPARE) * UNIT * magnitude
        for radius, magnitude in zip(radii, magnitudes, strict=True)
    ]


def upsamples(step: Step) -> list[tf.Tensor]:
    """Values are repeated, or interpolated."""
    return moves(step) if step.layer.interpolation == "nearest" else averages(step)


def monotone(step: Step) -> list[tf.Tensor]:
    """A function of each element that never falls, or never rises."""
    low, high = step.at(lambda x: x.low), step.at(lambda x: x.high)
    return [
        tf.maximum(tf.abs(a - center), tf.abs(b - center)) + TRANSCENDENTAL * tf.abs(center)
        for a, b, center in zip(low, high, step.outputs, strict=True)
    ]


def activation(step: Step) -> list[tf.Tensor]:
    """The function of Keras's `Activation` layer."""
    name = tf.keras.activations.serialize(step.layer.activation)
    if name in NOT_MONOTONE:
        raise unknown(step.layer, f"the activation {name}")
    return softmax(step) if name == "softmax" else monotone(step)


def softmax(step: Step) -> list[tf.Tensor]:
    """Softmax over the last axis."""
    # d softmax_i = softmax_i (d x_i - sum softmax_j d x_j), at most twice the largest radius.
    largest = tf.reduce_max(step.inputs[0].radius, axis=-1, keepdims=True)
    (center,) = step.outputs
    return [(tf.math.expm1(2 * largest) + TRANSCENDENTAL) * center + UNIT]


def slopes(step: Step) -> list[tf.Tensor]:
    """PReLU: a line on either side of 0."""
    steepest = np.maximum(1, np.abs(step.layer.alpha.numpy()))
    return [step.inputs[0].radius * steepest + 2 * UNIT * tf.abs(step.outputs[0])]


def adds(step: Step) -> list[tf.Tensor]:
    """Sums and differences, also with constants."""
    (center,) = step.outputs
    radius = tf.add_n([tf.broadcast_to(x.radius, center.shape) for x in step.inputs])
    # A constant among the terms is no larger than the sum and the other terms together.
    magnitude = tf.add_n([tf.broadcast_to(x.magnitude, center.shape) for x in step.inputs]) + tf.abs(center)
    terms = step.inputs[0].terms if len(step.inputs) == 1 else 0
    return [radius + (len(step.inputs) + 1 + terms) * UNIT * magnitude]


def multiplies(step: Step) -> list[tf.Tensor]:
    """Products, also with constants."""
    (center,), (product,) = step.outputs, step.at(lambda x: x.magnitude)
    return [tf.abs(product) - tf.abs(center) + (len(step.inputs) + 1) * UNIT * tf.abs(product)]


def scales_and_shifts(interval: Interval, scale: Any, mean: Any, shift: Any) -> list[tf.Tensor]:
    """(x - mean) * scale + shift, as BatchNorm computes it in inference."""
    scale = np.abs(scale)
    magnitude = (interval.magnitude + np.abs(mean)) * scale + np.abs(shift)
    return [interval.radius * scale + (SPARE + interval.terms) * UNIT * magnitude]


def batch_norm(step: Step) -> list[tf.Tensor]:
    """BatchNorm with its moving statistics."""
    layer = step.layer
    scale = 1 / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
    scale = scale * layer.gamma.numpy() if layer.scale else scale
    shift = layer.beta.numpy() if layer.center else 0.0
    return scales_and_shifts(step.inputs[0], scale, layer.moving_mean.numpy(), shift)


def multiplies_and_sums(step: Step) -> list[tf.Tensor]:
    """Convolutions and dense layers, binary or not."""
    layer, (interval,) = step.layer, step.inputs
    name = tf.keras.activations.serialize(layer.activation)
    if name not in LINEAR_ACTIVATIONS:
        raise unknown(layer, f"{type(layer).__name__} with activation {name}")
    low, used, high = (input_of(layer, x) for x in (interval.low, interval.center, interval.high))
    change = tf.maximum(tf.abs(low - used), tf.abs(high - used))
    kernel = kernel_of(layer)
    undecided = bool(tf.reduce_any(change > 0))
    sums_signs = are_binary(kernel, kernel_quantizer(layer), axis=-1) and are_binary(
        used.numpy(), getattr(layer, "input_quantizer", None)
    )
    if sums_signs and not undecided:
        return [_of_counts(layer, kernel, step.outputs[0])]
    magnitude = _magnitudes(layer, kernel, used.shape)
    if sums_signs:
        return [_of_counts(layer, kernel, step.outputs[0]) + magnitude(change)]
    terms = int(np.prod(kernel.shape[:-1]))
    rounding = (terms + SPARE) * UNIT * (magnitude(tf.abs(used) + change) + _bias(layer))
    return [rounding + magnitude(change) if undecided else rounding]


def unknown(layer: Any, what: str) -> UserError:
    """The refusal of a layer without a bound."""
    return UserError(
        f"Cannot check layer {layer.name!r}: no bound of its rounding is known for {what}; known are "
        f"convolutions, dense layers, BatchNorm, pooling, the usual activations, and layers that move or "
        f"join tensors. Give a layer of your own its bound with bnn_keras.nn.register(bound=...)."
    )


def _of_counts(layer: tf.keras.layers.Layer, kernel: np.ndarray, center: tf.Tensor) -> tf.Tensor:
    """What LCE rounds: it counts sums of signs exactly, and then scales and shifts them."""
    largest = np.prod(kernel.shape[:-1]) * np.abs(kernel).max() + _bias(layer)
    return SPARE * UNIT * largest * tf.ones_like(center)


def _magnitudes(layer: tf.keras.layers.Layer, kernel: np.ndarray, input_shape: Any) -> tf.keras.layers.Layer:
    """The layer with the magnitudes of its kernel, without bias, activation and quantizers."""
    plain: dict[str, Any] = {"use_bias": False, "activation": "linear"}
    for key in ("input_quantizer", "kernel_quantizer", "depthwise_quantizer"):
        if hasattr(layer, key):
            plain[key] = None
    if hasattr(layer, "pad_values"):
        plain["pad_values"] = 0.0
    twin = rebuild(layer, input_shape, **plain)
    twin.set_weights([np.abs(kernel)])
    return twin


def _bias(layer: tf.keras.layers.Layer) -> np.ndarray | float:
    return np.abs(layer.bias.numpy()) if layer.use_bias else 0.0
