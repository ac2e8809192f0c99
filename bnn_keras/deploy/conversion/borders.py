"""Binary convolutions over images that are smaller than their kernel.

LCE's fast kernels pad with +1 and then correct the sums at the border, but rightly only for images of at
least the kernel's size: with a 3x3 kernel on 1x1 and 2x2 maps they are wrong (differences of 20 to 130,
where the reference kernel is exact). Here such layers are converted to a convolution that pads with +1,
minus a constant for each pixel and channel. All of these are integers, so this is exact.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from bnn_keras.nn.binary import kernel_of
from bnn_keras.nn.graph import Call

keras = tf.keras.layers


def need_care(call: Call) -> bool:
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
    """Call the layer on `inputs`, [1, height, width, channels], in the form that LCE computes rightly."""
    paddings = [(0, 0), *_paddings(layer, inputs.shape[1:3]), (0, 0)]
    with tf.init_scope():  # constants of the file, not computations in it
        kernel = kernel_of(layer)
        # In float64: the sum of a thousand scaled signs is rounded once.
        border = _convolve(layer, np.zeros(inputs.shape), kernel.astype(np.float64), paddings)
        border = border.numpy().astype(np.float32)
    outputs = _convolve(layer, layer.input_quantizer(inputs), kernel, paddings)
    # As one row: LCE folds a constant after a convolution into it, which is right if the constant has
    # one value a channel, as for 1x1 pixels. With a value for each pixel the file could not be run.
    row = tf.reshape(outputs, [1, -1]) - border.reshape(-1)
    outputs = tf.reshape(row, border.shape)
    if layer.use_bias:
        outputs += layer.bias
    return layer.activation(outputs)


def _convolve(
    layer: tf.keras.layers.Layer, signs: Any, kernel: np.ndarray, paddings: list[tuple[int, int]]
) -> tf.Tensor:
    padded = tf.pad(signs, paddings, constant_values=1.0)
    return tf.nn.conv2d(padded, kernel, layer.strides, "VALID", dilations=layer.dilation_rate)


def _reach(layer: tf.keras.layers.Layer) -> list[int]:
    return [(k - 1) * d + 1 for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)]


def _paddings(layer: tf.keras.layers.Layer, size: Any) -> list[tuple[int, int]]:
    """The pixels that 'same' adds before and after an axis; an odd one comes after."""
    totals = [
        max((-(-n // stride) - 1) * stride + reach - n, 0)
        for n, stride, reach in zip(size, layer.strides, _reach(layer), strict=True)
    ]
    return [(total // 2, total - total // 2) for total in totals]
