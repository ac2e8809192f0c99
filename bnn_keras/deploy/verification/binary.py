"""Which convolutions are binary in a file, and why the others are not."""

import dataclasses
from collections.abc import Mapping

import larq as lq
import numpy as np
import tensorflow as tf

from bnn_keras.deploy.verification import intervals as balls
from bnn_keras.nn import graph as graphs
from bnn_keras.tflite.flatbuffer import BCONV, WORD, Flatbuffer, pack_signs, unpack_bits

keras = tf.keras.layers
LCE_TOLERANCE = 0.005  # by which LCE lets the values of a kernel differ from its scale
QUANTIZERS = (lq.quantizers.SteSign, lq.quantizers.ApproxSign, lq.quantizers.SwishSign)


@dataclasses.dataclass(frozen=True)
class BinaryLayer:
    """A layer that is meant to be binary, and what became of it.

    Args:
        name: of the layer.
        index: of the LceBconv2d among the file's operations; None if there is none.
        problem: why there is none, or what is wrong with it, in words; "" if nothing.
    """

    name: str
    index: int | None
    problem: str = ""


def is_meant(call: graphs.Call, inputs: np.ndarray) -> bool:
    """Whether a call is meant to compute on signs: both its kernel and its input, by what the layer
    declares or by the values that they hold.

    Args:
        call: of any layer.
        inputs: what the layer's arithmetic takes, behind its input quantizer.
    """
    layer = call.layer
    if not isinstance(layer, (keras.Conv2D, keras.DepthwiseConv2D, keras.Dense)):
        return False
    quantizer = getattr(layer, "depthwise_quantizer", None) or getattr(layer, "kernel_quantizer", None)
    kernel = _is_one_bit(quantizer) or (
        quantizer is None and balls.binary_values(balls.kernel_of(layer), axis=-1)
    )
    return kernel and (_is_one_bit(getattr(layer, "input_quantizer", None)) or _are_signs(inputs))


def _is_one_bit(quantizer) -> bool:
    # A function of the user's own tells no precision: it counts as meant for signs.
    return quantizer is not None and getattr(quantizer, "precision", None) in (None, 1)


def _are_signs(values: np.ndarray) -> bool:
    return balls.binary_values(values[values != 0]) if np.any(values) else False


def find(graph: graphs.Graph, meant: Mapping[graphs.Call, bool], flatbuffer: Flatbuffer) -> list[BinaryLayer]:
    """Find every layer that is meant to be binary among the file's LceBconv2d, by the bits of its kernel.

    Args:
        graph: of the model.
        meant: the calls for which `is_meant`, each with whether there are zeros in what it takes.
    """
    filters = {
        i: flatbuffer.constant(op.inputs[1]) for i, op in enumerate(flatbuffer.ops) if op.name == BCONV
    }
    return [_find(graph, call, zeros, filters) for call, zeros in meant.items()]


def _find(graph, call, zeros: bool, filters: dict[int, np.ndarray]) -> BinaryLayer:
    kernel = balls.kernel_of(call.layer)
    if kernel.ndim == 4 and not isinstance(call.layer, keras.DepthwiseConv2D):
        # LCE may turn a channel's signs around, with its scale.
        distances = {
            i: _differing_bits(kernel, bits) for i, bits in filters.items() if _same_shape(kernel, bits)
        }
        nearest = min(distances, key=distances.__getitem__, default=None)
        if nearest is not None and distances[nearest] == 0:
            filters.pop(nearest)
            return BinaryLayer(call.path, nearest)
        # Two random kernels differ in half of their bits: a few are damage to the right one.
        if nearest is not None and distances[nearest] < kernel.size // 10:
            filters.pop(nearest)
            return BinaryLayer(
                call.path, nearest, f"{distances[nearest]} bits of its kernel differ in the file"
            )
    return BinaryLayer(call.path, None, f"stays float: {explain(graph, call, kernel, zeros)}")


def _same_shape(kernel: np.ndarray, bits: np.ndarray) -> bool:
    height, width, channels, filters = kernel.shape
    return bits.shape == (filters, height, width, -(-channels // WORD))


def _differing_bits(kernel: np.ndarray, bits: np.ndarray) -> int:
    channels = kernel.shape[2]
    differ = unpack_bits(pack_signs(kernel), channels) ^ unpack_bits(bits, channels)
    count = differ.reshape(differ.shape[0], -1).sum(1)
    return int(np.minimum(count, differ[0].size - count).sum())


def explain(graph: graphs.Graph, call: graphs.Call, kernel: np.ndarray, zeros: bool) -> str:
    """Why LCE leaves a layer float, in words."""
    layer = call.layer
    if isinstance(layer, keras.Dense):
        return "LCE has no binary dense layer; use a 1x1 QuantConv2D"
    if isinstance(layer, keras.DepthwiseConv2D):
        return "LCE has no binary depthwise convolution"
    if layer.groups > 1:
        return f"LCE has no binary convolution in groups (it has {layer.groups})"
    off = _off_scale(kernel)
    if off.any():
        example = kernel[tuple(np.argwhere(off)[0])]
        return (
            f"{int(off.sum())} of {kernel.size} values of its kernel are not plus or minus their channel's "
            f"scale (one is {example:.4g}); export it through a hard sign"
        )
    if getattr(layer, "pad_values", 0) not in (0, 1):
        return f"it pads with {layer.pad_values:g}; LCE pads binary convolutions with 0 or 1"
    if getattr(layer, "input_quantizer", None) is None:
        return _explain_input(graph, call, zeros)
    if not isinstance(layer.input_quantizer, QUANTIZERS):
        return f"its input quantizer {_name(layer.input_quantizer)} is not a sign that LCE recognises; {USE}"
    if not _is_one_bit(layer.kernel_quantizer):
        return "its kernel has no binary quantizer"
    return "LCE does not recognise it, for a reason that is not known here"


USE = "use larq's SteSign as the input_quantizer of the convolution"


def _off_scale(kernel: np.ndarray) -> np.ndarray:
    # The usual magnitude of a channel; LCE goes by its first value, which may be the odd one.
    scale = np.median(np.abs(kernel), axis=(0, 1, 2), keepdims=True)
    return ~(np.abs(np.abs(kernel) - scale) <= LCE_TOLERANCE * scale) | (scale == 0)


def _explain_input(graph: graphs.Graph, call: graphs.Call, zeros: bool) -> str:
    producer = graph.producer(call.inputs[0])
    if producer is not None and _is(producer, "Concatenate", "concat"):
        return "its signs are taken before they are joined (sign, concat, convolution); join first"
    if zeros or (producer is not None and _is(producer, "ZeroPadding2D", "pad")):
        return "its signs are padded with zeros in a layer before it; use padding='same' in the convolution"
    return f"the signs before it are not in a form that LCE recognises; {USE}"


def _is(call: graphs.Call, layer: str, op: str) -> bool:
    return type(call.layer).__name__ == layer or call.layer.name.split(".")[-1].split("_")[0] == op


def _name(quantizer) -> str:
    return getattr(quantizer, "__name__", type(quantizer).__name__)
