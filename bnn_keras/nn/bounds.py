"""Bounds of what layers round off, for `bnn_keras.nn.register` and the layers of Keras.

Each function here is a `bnn_keras.nn.intervals.Bound`.
"""

import functools
import math
from typing import Any

import larq as lq
import numpy as np
import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn import activations
from bnn_keras.nn.binary import are_binary, input_of, kernel_of, kernel_quantizer
from bnn_keras.nn.float64 import rebuild
from bnn_keras.nn.intervals import SPARE, TRANSCENDENTAL, UNIT, Bound, Interval, Step

K = tf.keras.layers
# Activations that carry a difference of their input no further, and round nothing.
LINEAR_ACTIVATIONS = ("linear", "relu", "relu6")
# Layers that may be the activation of another one; quantizers are layers too.
MONOTONE_LAYERS = (K.ReLU, K.LeakyReLU, K.ELU, lq.quantizers.Quantizer)


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


def monotone(step: Step) -> list[tf.Tensor]:
    """A function of each element that never falls, or never rises."""
    low, high = step.at(lambda x: x.low), step.at(lambda x: x.high)
    return [
        tf.maximum(tf.abs(a - center), tf.abs(b - center)) + TRANSCENDENTAL * tf.abs(center)
        for a, b, center in zip(low, high, step.outputs, strict=True)
    ]


def activation(step: Step) -> list[tf.Tensor]:
    """The function of Keras's `Activation` layer."""
    return _activation(step.layer, step.layer.activation, step)


def named(name: str) -> Bound:
    """The bound of an activation that a TensorFlow function computes.

    Args:
        name: in `bnn_keras.nn.activations.FUNCTIONS`.
    """

    def bound(step: Step) -> list[tf.Tensor]:
        (interval,), (center,) = step.inputs, step.outputs
        (low,), (high,) = step.at(lambda x: x.low), step.at(lambda x: x.high)
        return [activations.radius(activations.FUNCTIONS[name], interval, low, center, high)]

    return bound


def softmax(step: Step) -> list[tf.Tensor]:
    """Softmax over one axis, the last one unless the layer has another."""
    axis = getattr(step.layer, "axis", -1)
    if not isinstance(axis, int):
        raise unknown(step.layer, f"a softmax over the axes {axis}")
    return [activations.softmax(step.inputs[0], step.outputs[0], axis)]


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
    """Convolutions and dense layers, binary or not, and their activation."""
    layer, (interval,) = step.layer, step.inputs
    if activations.name_of(layer.activation) in LINEAR_ACTIVATIONS:
        return [_sums(layer, interval, step.outputs[0])]
    linear = rebuild(layer, interval.center.shape, activation="linear")
    center = linear(interval.center)
    summed = Interval(center, _sums(linear, interval, center))
    return _activation(layer, layer.activation, Step(layer.activation, (summed,), {}, step.outputs))


def sums_of(layer: tf.keras.layers.Layer) -> list[tuple[np.ndarray, int]]:
    """The kernels of a layer in their order, each with the number of terms of its sums."""
    if isinstance(layer, K.SeparableConv2D):
        depthwise, pointwise = layer.depthwise_kernel.numpy(), layer.pointwise_kernel.numpy()
        return [(depthwise, math.prod(depthwise.shape[:2])), (pointwise, pointwise.shape[2])]
    kernel = kernel_of(layer)
    outputs = kernel.shape[-1:]
    if isinstance(layer, K.DepthwiseConv2D):
        outputs = kernel.shape[2:]
    if isinstance(layer, K.Conv2DTranspose):
        outputs = kernel.shape[2:3]
    return [(kernel, kernel.size // math.prod(outputs))]


def _sums(layer: tf.keras.layers.Layer, interval: Interval, center: tf.Tensor) -> tf.Tensor:
    low, used, high = (input_of(layer, x) for x in (interval.low, interval.center, interval.high))
    change = tf.maximum(tf.abs(low - used), tf.abs(high - used))
    kernels = [kernel for kernel, _ in sums_of(layer)]
    undecided = bool(tf.reduce_any(change > 0))
    sums_signs = (
        len(kernels) == 1
        and are_binary(kernels[0], kernel_quantizer(layer), axis=-1)
        and are_binary(used.numpy(), getattr(layer, "input_quantizer", None))
    )
    if sums_signs and not undecided:
        return _of_counts(layer, kernels[0], center)
    magnitude = _magnitudes(layer, kernels, used.shape)
    if sums_signs:
        return _of_counts(layer, kernels[0], center) + magnitude(change)
    # The sums of a separable convolution's depthwise part are the terms of the pointwise one's.
    terms = sum(terms for _, terms in sums_of(layer))
    rounding = (terms + SPARE) * UNIT * (magnitude(tf.abs(used) + change) + _bias(layer))
    return rounding + magnitude(change) if undecided else rounding


def _activation(layer: tf.keras.layers.Layer, function: Any, step: Step) -> list[tf.Tensor]:
    """The bound of an activation: a function or a layer, `step.layer` computes it."""
    name = activations.name_of(function)
    if name == "softmax" or isinstance(function, tf.keras.layers.Softmax):
        return softmax(step)
    if name in activations.FUNCTIONS:
        return named(name)(step)
    if isinstance(function, MONOTONE_LAYERS):
        return monotone(step)
    what = f"the activation {name}"
    if not isinstance(layer, tf.keras.layers.Activation):
        what = f"{type(layer).__name__} with activation {name}"
    raise unknown(layer, what)


def divides(step: Step) -> list[tf.Tensor]:
    """A quotient, also with a constant."""
    (center,) = step.outputs
    arguments = [*step.args, *(value for key, value in step.kwargs.items() if key != "name")]
    top, bottom = (x if isinstance(x, Interval) else Interval.exact(x) for x in arguments)
    least = tf.abs(bottom.center) - bottom.radius
    # Where the divisor may be 0 there is no bound. A constant divisor may be stored as its reciprocal.
    largest = tf.where(least > 0, top.magnitude / least, np.inf)
    return [largest - tf.abs(center) + SPARE * UNIT * largest]


def takes_largest(step: Step) -> list[tf.Tensor]:
    """The larger or smaller one of two values: no further off than the worse one."""
    (center,) = step.outputs
    radii = [tf.broadcast_to(x.radius, center.shape) for x in step.inputs]
    # A constant among the values has been rounded.
    return [functools.reduce(tf.maximum, radii) + UNIT * tf.abs(center)]


def rescales(step: Step) -> list[tf.Tensor]:
    """Keras's `Rescaling`: x * scale + offset."""
    return scales_and_shifts(step.inputs[0], step.layer.scale, 0.0, step.layer.offset)


def normalizes(step: Step) -> list[tf.Tensor]:
    """Keras's `Normalization`: (x - mean) / std, or its inverse."""
    layer = step.layer
    mean, std = layer.mean.numpy(), np.maximum(np.sqrt(layer.variance.numpy()), tf.keras.backend.epsilon())
    if layer.invert:
        return scales_and_shifts(step.inputs[0], std, 0.0, mean)
    return scales_and_shifts(step.inputs[0], 1 / std, mean, 0.0)


def layer_norm(step: Step) -> list[tf.Tensor]:
    """LayerNorm: the mean and variance are sums over some axes of the image itself."""
    layer, (x,) = step.layer, step.inputs
    axes = [axis % len(x.center.shape) for axis in (layer.axis if np.ndim(layer.axis) else [layer.axis])]
    terms = math.prod(x.center.shape[axis] for axis in axes) + SPARE

    def mean(values: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(values, axes, keepdims=True)

    def weight(name: str, default: float) -> Any:
        values = getattr(layer, name)
        shape = [n if axis in axes else 1 for axis, n in enumerate(x.center.shape)]
        return np.abs(values.numpy()).reshape(shape) if values is not None else default

    # d = x - m and v = mean(d^2), each with its radius: what it takes over, and the sum's own rounding.
    m_radius = mean(x.radius) + terms * UNIT * mean(x.magnitude)
    d = tf.abs(x.center - mean(x.center))
    d_radius = x.radius + m_radius + UNIT * d
    v = mean(d**2)
    v_radius = mean(2 * d * d_radius + d_radius**2) + terms * UNIT * mean((d + d_radius) ** 2)
    largest = tf.math.rsqrt(tf.maximum(v - v_radius, 0.0) + layer.epsilon)
    scale_radius = largest - tf.math.rsqrt(v + v_radius + layer.epsilon)
    gamma, beta = weight("gamma", 1.0), weight("beta", 0.0)
    passed = gamma * (d_radius * largest + d * scale_radius)
    # The converter may scale x and the mean separately, and subtract then.
    magnitude = gamma * (x.magnitude + mean(x.magnitude)) * largest + beta
    return [passed + SPARE * UNIT * magnitude]


def resizes(step: Step) -> list[tf.Tensor]:
    """Nearest neighbours, or bilinear interpolation, whose weights are computed in float32 too."""
    if step.layer.interpolation not in ("nearest", "bilinear"):
        raise unknown(step.layer, f"the interpolation {step.layer.interpolation}")
    radii = step.at(lambda x: _around(x.radius))
    if step.layer.interpolation == "nearest":
        return radii
    # A coordinate (i + 0.5) * scale - 0.5 has two roundings of at most an edge each, and moves the weights
    # of four neighbours. TensorFlow, which computes the center, rounds the same in float32 as TFLite.
    edge = max(step.inputs[0].center.shape[1:3])
    return [
        radius + 2 * (8 * edge + SPARE) * UNIT * magnitude
        for radius, magnitude in zip(radii, step.at(lambda x: _around(x.magnitude)), strict=True)
    ]


def crops_or_resizes(step: Step) -> list[tf.Tensor]:
    """Keras's `CenterCrop`, which crops, and only scales up what is too small."""
    height, width = step.inputs[0].center.shape[1:3]
    if height < step.layer.height or width < step.layer.width:
        raise unknown(step.layer, f"a CenterCrop of {height} x {width} pixels, which are too few for it")
    return moves(step)


def _around(values: tf.Tensor) -> tf.Tensor:
    """The largest value of each pixel and its neighbours, [batch, height, width, channels]."""
    return tf.nn.max_pool2d(values, 3, 1, "SAME")


class UnknownBoundError(UserError):
    """No bound of a layer's rounding is known."""


def unknown(layer: Any, what: str) -> UnknownBoundError:
    """The refusal of a layer without a bound."""
    return UnknownBoundError(
        f"Cannot check layer {layer.name!r}: no bound of its rounding is known for {what}; give its class a "
        f"bound with bnn_keras.nn.register(bound=...), or leave this layer alone unchecked with "
        f"--unchecked={layer.name} (unchecked=[{layer.name!r}] of bnn_keras.convert)."
    )


def _of_counts(layer: tf.keras.layers.Layer, kernel: np.ndarray, center: tf.Tensor) -> tf.Tensor:
    """What LCE rounds: it counts sums of signs exactly, and then scales and shifts them."""
    largest = np.prod(kernel.shape[:-1]) * np.abs(kernel).max() + _bias(layer)
    return SPARE * UNIT * largest * tf.ones_like(center)


def _magnitudes(
    layer: tf.keras.layers.Layer, kernels: list[np.ndarray], input_shape: Any
) -> tf.keras.layers.Layer:
    """The layer with the magnitudes of its kernels, without bias, activation and quantizers."""
    plain: dict[str, Any] = {"use_bias": False, "activation": "linear"}
    for key in ("input_quantizer", "kernel_quantizer", "depthwise_quantizer"):
        if hasattr(layer, key):
            plain[key] = None
    if hasattr(layer, "pad_values"):
        plain["pad_values"] = 0.0
    twin = rebuild(layer, input_shape, **plain)
    twin.set_weights([np.abs(kernel) for kernel in kernels])
    return twin


def _bias(layer: tf.keras.layers.Layer) -> np.ndarray | float:
    return np.abs(layer.bias.numpy()) if layer.use_bias else 0.0
