"""Which layers are binary in a file, and why the others are not."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import larq as lq
import numpy as np
import tensorflow as tf

from bnn_keras.deploy.portable.steps import STEP_CONV, why_not
from bnn_keras.deploy.rewrite.operations import Network
from bnn_keras.deploy.verification.regions import Regions
from bnn_keras.nn.binary import are_binary, is_one_bit, kernel_of, kernel_quantizer
from bnn_keras.nn.graph import Call, Graph
from bnn_keras.tflite.bits import WORD, pack_signs, unpack_bits
from bnn_keras.tflite.flatbuffer import BCONV, KERNEL

keras = tf.keras.layers
LCE_TOLERANCE = 0.005  # largest difference between a kernel's values and its scale, as a share of it
QUANTIZERS = (lq.quantizers.SteSign, lq.quantizers.ApproxSign, lq.quantizers.SwishSign)


@dataclasses.dataclass(frozen=True)
class BinaryLayer:
    """A layer that is meant to be binary, and its operation in the file.

    Args:
        name: of the layer.
        index: number of its binary convolution among the file's operations; None if there is none.
        problem: why there is none, or what is wrong with it; "" if nothing is.
    """

    name: str
    index: int | None
    problem: str = ""


def is_meant(call: Call, inputs: np.ndarray) -> bool:
    """Whether a layer is meant to be binary: whether both its kernel and its input are signs.

    Either the quantizers declare that or the values show it.

    Args:
        call: of any layer.
        inputs: of the layer's arithmetic, after its input quantizer.
    """
    layer = call.layer
    if not isinstance(layer, (keras.Conv2D, keras.DepthwiseConv2D, keras.Dense)):
        return False
    quantizer = kernel_quantizer(layer)
    kernel = _may_be_sign(quantizer) or (quantizer is None and are_binary(kernel_of(layer), axis=-1))
    return kernel and (_may_be_sign(getattr(layer, "input_quantizer", None)) or _are_signs(inputs))


def _may_be_sign(quantizer: Any) -> bool:
    # A function of the user's own declares no precision: it counts as meant for signs.
    return quantizer is not None and (is_one_bit(quantizer) or getattr(quantizer, "precision", None) is None)


def _are_signs(values: np.ndarray) -> bool:
    return are_binary(values[values != 0]) if np.any(values) else False


def find(
    regions: Regions, meant: Mapping[Call, bool], turns: Mapping[Call, np.ndarray], form: str = BCONV
) -> list[BinaryLayer]:
    """Find every layer that is meant to be binary among the file's operations, by the bits of its kernel.

    Args:
        regions: of the model and its file.
        meant: the calls for which `is_meant`, each with whether its input contains zeros.
        turns: see `turns_of`.
        form: of a binary convolution, LceBconv2d, or CONV_2D with a kernel of signs in int8.
    """
    found: list[BinaryLayer] = []
    for call, zeros in meant.items():
        used = {layer.index for layer in found}
        found.append(_find(regions, call, zeros, used, turns.get(call), form))
    return found


def turns_of(network: Network) -> dict[Call, np.ndarray]:
    """The signs of the input channels in the file, those that are turned -1: [channels, 1] by layer call."""
    turns = {}
    for operation in network.operations():
        if operation.kind in ("binary_conv", STEP_CONV) and operation.call is not None:
            ratio = operation.constants["kernel"] * kernel_of(operation.call.layer)
            turns[operation.call] = np.sign(ratio[0, 0, :, :1])
    return turns


def _find(
    regions: Regions, call: Call, zeros: bool, used: set[int | None], turn: np.ndarray | None, form: str
) -> BinaryLayer:
    kernel = kernel_of(call.layer)
    kernel = kernel if turn is None else kernel * turn
    distances = {op: _differing_bits(kernel, bits) for op, bits in _candidates(regions, call, kernel, form)}
    # Equal layers with the same input may be one operation; where there are two, each has its own.
    nearest = min(distances, key=lambda op: (distances[op], op in used), default=None)
    # Two random kernels differ in half of their bits. If few bits differ, the right kernel is damaged.
    if nearest is None or distances[nearest] > kernel.size // 10:
        reason = explain(regions.graph, call, kernel, zeros) if form == BCONV else why_not(call)
        sizes = f"{kernel.nbytes:,} bytes in place of {-(-kernel.size // 8):,}"
        return BinaryLayer(call.path, None, f"stays float ({sizes}): {reason}")
    if distances[nearest]:
        return BinaryLayer(call.path, nearest, f"{distances[nearest]} bits of its kernel differ in the file")
    return BinaryLayer(call.path, nearest)


def _candidates(
    regions: Regions, call: Call, kernel: np.ndarray, form: str
) -> Iterator[tuple[int, np.ndarray]]:
    """The binary convolutions that the layer may be, by their numbers, and their packed kernels."""
    if kernel.ndim != 4 or isinstance(call.layer, keras.DepthwiseConv2D):
        return
    height, width, channels, filters = kernel.shape
    for number in regions.ops_of(call):
        op = regions.ops[number]
        if op.name == form and regions.file.is_constant(op.inputs[KERNEL]):
            bits = regions.file.constant(op.inputs[KERNEL])
            if form != BCONV:
                if bits.dtype != np.int8 or (np.abs(bits) != 1).any():
                    continue
                bits = pack_signs(np.moveaxis(bits, 0, -1))
            if bits.shape == (filters, height, width, -(-channels // WORD)):
                yield number, bits


def _differing_bits(kernel: np.ndarray, bits: np.ndarray) -> int:
    """The number of different bits. LCE may turn all signs of an output channel, with its scale."""
    channels = kernel.shape[2]
    differ = unpack_bits(pack_signs(kernel), channels) ^ unpack_bits(bits, channels)
    count = differ.reshape(differ.shape[0], -1).sum(1)
    return int(np.minimum(count, differ[0].size - count).sum())


def explain(graph: Graph, call: Call, kernel: np.ndarray, zeros: bool) -> str:
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
    if not _may_be_sign(layer.kernel_quantizer):
        return "its kernel has no binary quantizer"
    return "LCE does not recognise it, for a reason that is not known here"


USE = "use larq's SteSign as the input_quantizer of the convolution"


def _off_scale(kernel: np.ndarray) -> np.ndarray:
    # The usual magnitude of a channel. LCE compares with the channel's first value, which may be the odd one.
    scale = np.median(np.abs(kernel), axis=(0, 1, 2), keepdims=True)
    return ~(np.abs(np.abs(kernel) - scale) <= LCE_TOLERANCE * scale) | (scale == 0)


def _explain_input(graph: Graph, call: Call, zeros: bool) -> str:
    producer = graph.producer(call.inputs[0])
    if producer is not None and _is(producer, "Concatenate", "concat"):
        return "its signs are taken before they are joined (sign, concat, convolution); join first"
    if zeros or (producer is not None and _is(producer, "ZeroPadding2D", "pad")):
        return "its signs are padded with zeros in a layer before it; use padding='same' in the convolution"
    return f"the signs before it are not in a form that LCE recognises; {USE}"


def _is(call: Call, layer: str, op: str) -> bool:
    return type(call.layer).__name__ == layer or call.layer.name.split(".")[-1].split("_")[0] == op


def _name(quantizer: Any) -> str:
    return getattr(quantizer, "__name__", type(quantizer).__name__)
