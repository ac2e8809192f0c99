"""Which values are of one bit: what layers and quantizers declare, and what arrays hold."""

from typing import Any

import numpy as np
import tensorflow as tf

BITS, FLOAT_BITS = 1, 32


def is_one_bit(what: object) -> bool:
    """Whether a variable, a quantizer or an activation declares values of one bit."""
    return getattr(what, "precision", None) == BITS


def kernel_quantizer(layer: tf.keras.layers.Layer) -> Any:
    """The quantizer of the kernel, or of the depthwise kernel; None if the layer has none."""
    return getattr(layer, "depthwise_quantizer" if _is_depthwise(layer) else "kernel_quantizer", None)


def kernel_of(layer: tf.keras.layers.Layer) -> np.ndarray:
    """The kernel of a layer as its convolution uses it: quantized if it has a quantizer."""
    name = "depthwise_kernel" if _is_depthwise(layer) else "kernel"
    latent = next(
        value
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True)
        if weight.name.split("/")[-1].startswith(name)
    )
    quantizer = kernel_quantizer(layer)
    return latent if quantizer is None else quantizer(tf.convert_to_tensor(latent)).numpy()


def input_of(layer: tf.keras.layers.Layer, values: tf.Tensor) -> tf.Tensor:
    """The input of a layer as its convolution uses it: quantized if it has a quantizer."""
    quantizer = getattr(layer, "input_quantizer", None)
    return values if quantizer is None else quantizer(values)


def are_binary(values: np.ndarray, quantizer: object | None = None, axis: int | None = None) -> bool:
    """Whether all values are +scale or -scale.

    Args:
        values: of a kernel or a feature map.
        quantizer: what computed them. Values of one sign are binary only if it declares one bit.
        axis: of the channels, if each of them has its own scale.
    """
    magnitudes = np.abs(values)
    others = None if axis is None else tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    high, low = magnitudes.max(others), magnitudes.min(others)
    same = bool((low > 0).all() and (high <= low * (1 + 1e-6)).all())
    return same and (is_one_bit(quantizer) or bool((values > 0).any() and (values < 0).any()))


def _is_depthwise(layer: tf.keras.layers.Layer) -> bool:
    return isinstance(layer, tf.keras.layers.DepthwiseConv2D)
