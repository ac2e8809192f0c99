"""Binary convolutions over images that are smaller than their kernel.

LCE's fast kernels pad with +1 and take back what was too much at the border, but only for images of
at least the kernel's size: with a 3x3 kernel on 1x1 and 2x2 maps they are wrong (differences of 20 to
130 where the reference kernel is exact). Such layers are exported as what the correction means: a
convolution that pads with +1, minus a constant for each pixel and channel. Integers all, so exact.
"""

import math

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.verification.intervals import kernel_of
from bnn_keras.nn import graph as graphs

keras = tf.keras.layers


def need_care(call: graphs.Call) -> bool:
    """Whether a call is a zero-padded binary convolution over an image smaller than its kernel."""
    layer = call.layer
    return (
        isinstance(layer, keras.Conv2D)
        and getattr(layer, "input_quantizer", None) is not None
        and layer.padding == "same"
        and layer.groups == 1
        and getattr(layer, "pad_values", None) == 0
        and any(
            n is not None and n < reach
            for n, reach in zip(call.inputs[0].shape[1:3], _reach(layer), strict=True)
        )
    )


def padded_with_ones(layer: tf.keras.layers.Layer, inputs: tf.Tensor) -> tf.Tensor:
    """The layer for `inputs` [1, height, width, channels] in the form that LCE computes rightly."""
    paddings = [(0, 0), *_paddings(layer, inputs.shape[1:3]), (0, 0)]
    with tf.init_scope():  # constants of the file, not computations in it
        kernel = kernel_of(layer)
        border = _convolve(layer, np.zeros(inputs.shape, np.float32), kernel, paddings).numpy()
    outputs = _convolve(layer, layer.input_quantizer(inputs), kernel, paddings)
    # One row: LCE folds a constant behind a convolution into it, rightly if it has a value a channel,
    # as at 1x1 pixels; with a value a pixel the file could not be run.
    row = tf.reshape(outputs, [1, -1]) - border.reshape(-1)
    outputs = tf.reshape(row, border.shape)
    if layer.use_bias:
        outputs += layer.bias
    return layer.activation(outputs)


def _convolve(layer: tf.keras.layers.Layer, signs, kernel: np.ndarray, paddings) -> tf.Tensor:
    padded = tf.pad(signs, paddings, constant_values=1.0)
    return tf.nn.conv2d(padded, kernel, layer.strides, "VALID", dilations=layer.dilation_rate)


def constants(graph: graphs.Graph) -> int:
    """How many numbers all these borders take in a file."""
    values = [call.outputs[0] for call in graph.calls if need_care(call)]
    return sum(math.prod(n or 0 for n in value.shape[1:]) for value in values if not _vanishes(graph, value))


def _vanishes(graph: graphs.Graph, value: graphs.Value) -> bool:
    """Whether a border of one pixel becomes part of the shift of a BatchNorm behind it."""
    takers = graph.consumers(value)
    return (
        value.shape[1:3] == (1, 1)
        and len(takers) == 1
        and isinstance(takers[0].layer, keras.BatchNormalization)
    )


def _reach(layer: tf.keras.layers.Layer) -> list[int]:
    return [(k - 1) * d + 1 for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)]


def _paddings(layer: tf.keras.layers.Layer, size) -> list[tuple[int, int]]:
    """What 'same' adds before and behind (TensorFlow pads the odd pixel behind)."""
    totals = [
        max((-(-n // stride) - 1) * stride + reach - n, 0)
        for n, stride, reach in zip(size, layer.strides, _reach(layer), strict=True)
    ]
    return [(total // 2, total - total // 2) for total in totals]
