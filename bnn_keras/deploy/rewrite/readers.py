"""The layers that become plain operations, each with its reader.

A reader takes the call of a layer, the operations that it takes and the shape of its output. It gives the
last operation that the layer becomes, or None if the layer is set up in a way that no operation has.
"""

from collections.abc import Callable
from typing import Any

import larq as lq
import numpy as np
import tensorflow as tf

from bnn_keras.deploy.conversion import borders
from bnn_keras.deploy.rewrite.operations import Operation
from bnn_keras.nn import layers
from bnn_keras.nn.binary import are_binary, kernel_of
from bnn_keras.nn.convolution import Conv2D, QuantConv2D
from bnn_keras.nn.float64 import rebuild
from bnn_keras.nn.graph import Call

K = tf.keras.layers
Built = Operation | None
Reader = Callable[[Call, list[Operation], Any], Built]


def _float64(values: Any) -> np.ndarray:
    return np.asarray(values, np.float64)


def _batch_norm(call: Call, taken: list[Operation], shape: Any) -> Built:
    layer = call.layer
    if tuple(layer.axis) != (3,):
        return None
    mean, variance = (_float64(one.numpy()) for one in (layer.moving_mean, layer.moving_variance))
    scale = 1 / np.sqrt(variance + layer.epsilon)
    scale = scale * _float64(layer.gamma.numpy()) if layer.scale else scale
    shift = (_float64(layer.beta.numpy()) if layer.center else 0.0) - mean * scale
    scaled = Operation("scale", taken, shape, {"scale": scale})
    return Operation("shift", [scaled], shape, {"shift": shift})


def _normalize(call: Call, taken: list[Operation], shape: Any) -> Built:
    shifted = Operation("shift", taken, shape, {"shift": -_float64(call.layer.mean)})
    return Operation("scale", [shifted], shape, {"scale": 1 / _float64(call.layer.std)})


def _bias(call: Call, taken: list[Operation], shape: Any) -> Built:
    return Operation("shift", taken, shape, {"shift": _float64(call.layer.bias.numpy()).reshape(-1)})


def _conv(call: Call, taken: list[Operation], shape: Any) -> Built:
    layer = call.layer
    if layer.activation is not tf.keras.activations.linear:
        return None
    grouped = layer.groups > 1
    settings = _window(layer) | ({"groups": layer.groups} if grouped else {})
    kernel = {"kernel": _float64(kernel_of(layer))}
    built = Operation("grouped_conv" if grouped else "conv", taken, shape, kernel, settings)
    if layer.use_bias:
        built = Operation("shift", [built], shape, {"shift": _float64(layer.bias.numpy())})
    return built


def _binary_conv(call: Call, taken: list[Operation], shape: Any) -> Built:
    layer = call.layer
    kernel = kernel_of(layer)
    # Turning signs of the kernel is exact with zeros around the image only.
    has_zeros = layer.padding == "valid" or layer.pad_values == 0
    if (
        layer.groups > 1
        or layer.use_bias
        or layer.activation is not tf.keras.activations.linear
        or not isinstance(layer.input_quantizer, lq.quantizers.SteSign)
        or not are_binary(kernel, layer.kernel_quantizer, axis=-1)
        or borders.need_care(call)
        or not has_zeros
    ):
        return None
    if (np.abs(kernel) != 1).any():
        kernel = kernel_of(rebuild(layer))  # scales in float64
    return Operation("binary_conv", taken, shape, {"kernel": _float64(kernel)}, _window(layer))


def _window(layer: Any) -> dict[str, Any]:
    return {
        "strides": tuple(layer.strides),
        "padding": layer.padding.upper(),
        "dilations": tuple(layer.dilation_rate),
    }


def _relu(call: Call, taken: list[Operation], shape: Any) -> Built:
    layer = call.layer
    is_plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
    return Operation("relu", taken, shape) if is_plain else None


def _prelu(call: Call, taken: list[Operation], shape: Any) -> Built:
    alpha = _float64(call.layer.alpha.numpy())
    if alpha.size != alpha.shape[-1]:
        return None
    return Operation("prelu", taken, shape, {"alpha": alpha.reshape(-1)})


def _pool(kind: str) -> Reader:
    def read_pool(call: Call, taken: list[Operation], shape: Any) -> Built:
        layer = call.layer
        settings = {
            "size": tuple(layer.pool_size),
            "strides": tuple(layer.strides),
            "padding": layer.padding.upper(),
        }
        return Operation(kind, taken, shape, settings=settings)

    return read_pool


def _mean(call: Call, taken: list[Operation], shape: Any) -> Built:
    return Operation("mean", taken, shape) if call.layer.keepdims else None


def _concat(call: Call, taken: list[Operation], shape: Any) -> Built:
    return Operation("concat", taken, shape) if call.layer.axis in (-1, 3) else None


def _join(kind: str) -> Reader:
    return lambda call, taken, shape: Operation(kind, taken, shape)


# Layers whose class is exactly one of these; a subclass may compute something else.
READERS: dict[type, Reader] = {
    K.BatchNormalization: _batch_norm,
    layers.Normalize: _normalize,
    layers.Bias: _bias,
    K.Conv2D: _conv,
    Conv2D: _conv,
    layers.GroupedConv2D: _conv,
    QuantConv2D: _binary_conv,
    lq.layers.QuantConv2D: _binary_conv,
    K.ReLU: _relu,
    K.PReLU: _prelu,
    K.MaxPooling2D: _pool("max_pool"),
    K.AveragePooling2D: _pool("average_pool"),
    K.GlobalAveragePooling2D: _mean,
    K.Concatenate: _concat,
    K.Add: _join("add"),
    K.Multiply: _join("multiply"),
    layers.Rotate180: _join("reverse"),
}
