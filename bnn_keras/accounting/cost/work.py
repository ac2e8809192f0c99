"""What one operation of a file does, in the units of the table of unit costs."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from bnn_keras.accounting.cost.unit_costs import FLOAT, INT8, MOST_JOINED, MOST_SPLIT
from bnn_keras.tflite.checking import whole_numbers
from bnn_keras.tflite.flatbuffer import BCONV, KERNEL, TYPE_NAMES, WORD, Flatbuffer, Op

# The tile that LCE's kernel computes at once: output channels, pixels, and words of input channels.
TILE_CHANNELS, TILE_PIXELS, TILE_WORDS = 8, 4, 4
LANES = 4  # float values in a register
ELEMENTWISE = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "GREATER")
Units = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Work:
    """What one operation does.

    Args:
        form: its name in the table of unit costs.
        type: "float" or "int8".
        units: how many of each unit it does.
        macs: multiply-accumulates.
        is_binary: whether these are binary.
    """

    form: str
    type: str
    units: Units
    macs: int = 0
    is_binary: bool = False


def work_of(file: Flatbuffer, op: Op, operator: Any) -> Work:
    """The work of an operation.

    Args:
        file: any.
        op: the operation.
        operator: its table in the file, which has its options.
    """
    shapes = [file.shape(index) for index in op.inputs if index >= 0]
    output = file.shape(op.outputs[0])
    kind = _type(file, op)
    if op.name == BCONV:
        return _binary(file, op, operator, kind)
    if op.name == "CONV_2D":
        of_4_bits = TYPE_NAMES[file.graph.tensors[op.inputs[KERNEL]].type] == "INT4"
        return _convolution(shapes[0], shapes[KERNEL], output, kind, of_4_bits)
    if op.name == "DEPTHWISE_CONV_2D":
        macs = math.prod(output) * math.prod(shapes[KERNEL][1:3])
        return Work(op.name, kind, {"MAC": macs}, macs)
    if op.name == "FULLY_CONNECTED":
        macs = math.prod(output) * shapes[KERNEL][-1]
        return Work(op.name, kind, {"MAC": macs}, macs)
    if op.name in ELEMENTWISE:
        return Work(*_elementwise(op.name, shapes, output, kind))
    if op.name in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        window = operator.builtinOptions
        return Work(op.name, kind, _pooling(window.filterHeight * window.filterWidth, output))
    if op.name == "DEQUANTIZE" and file.is_constant(op.inputs[0]):
        return Work("DEQUANTIZE of constants", kind, {"element": math.prod(output)})
    if op.name == "REVERSE_V2":
        return Work(_reversed(file, op), kind, {"element": math.prod(output)})
    form, units = _MOVES.get(op.name, _other)(op.name, shapes, [file.shape(i) for i in op.outputs])
    return Work(form, kind, units)


def _type(file: Flatbuffer, op: Op) -> str:
    """The type of what an operation computes, or takes if it turns it into another type."""
    taken = op.name in ("LceQuantize", "QUANTIZE", "DEQUANTIZE")
    index = op.inputs[0] if taken else op.outputs[0]
    name = TYPE_NAMES[file.graph.tensors[index].type]
    return INT8 if name in ("INT4", "INT8", "UINT8") else FLOAT


def _binary(file: Flatbuffer, op: Op, operator: Any, kind: str) -> Work:
    channels = whole_numbers(bytes(bytearray(operator.customOptions)))["channels_in"]
    output = file.shape(op.outputs[0])
    filters, *window, words = file.shape(op.inputs[KERNEL])
    pixels, taps = math.prod(output[:-1]), math.prod(window)
    rows = _up(filters, TILE_CHANNELS) * _up(pixels, TILE_PIXELS)
    patch_words = _up(taps * words, TILE_WORDS)
    units = {"tile MAC": rows * patch_words * WORD, "output": pixels * filters}
    if taps > 1 or output[:-1] != file.shape(op.inputs[0])[:-1]:
        units["patch"] = pixels
        units["patch word"] = pixels * patch_words
    return Work(BCONV, kind, units, pixels * filters * taps * channels, is_binary=True)


def _convolution(
    taken: tuple[int, ...], kernel: tuple[int, ...], output: tuple[int, ...], kind: str, of_4_bits: bool
) -> Work:
    filters, *window, channels = kernel
    pixels, taps = math.prod(output[:-1]), math.prod(window)
    macs = pixels * filters * taps * channels
    groups = taken[-1] // channels
    if groups > 1:
        units = {"MAC": macs, "output tap": pixels * filters * taps, "tap": pixels * groups * taps}
        return Work("CONV_2D grouped", kind, units, macs)
    if kind == INT8:
        form = "CONV_2D of one pixel" if pixels == 1 else "CONV_2D 1x1" if taps == 1 else "CONV_2D"
        if of_4_bits:
            form = "CONV_2D of one pixel, 4 bits" if pixels == 1 else "CONV_2D of 4 bits"
        return Work(form, kind, {"MAC": macs, "weight": math.prod(kernel)}, macs)
    if pixels == 1:
        return Work("CONV_2D of one pixel", kind, {"MAC": macs, "output": filters}, macs)
    units = {
        "MAC": macs,
        "odd MAC": macs * (channels % LANES) // channels,
        "patch element": pixels * taps * channels,
    }
    if taps > 1 or output[:-1] != taken[:-1]:
        units |= {"patch row": pixels * window[0], "tap": pixels * taps}
    return Work("CONV_2D", kind, units, macs)


def _elementwise(
    name: str, shapes: list[tuple[int, ...]], output: tuple[int, ...], kind: str
) -> tuple[str, str, Units]:
    sizes, size = [math.prod(shape) for shape in shapes], math.prod(output)
    if min(sizes) == size:
        return name, kind, {"element": size}
    if min(sizes) == 1:
        form = f"{name} of a number" if kind == FLOAT else f"{name} in rows"
        return form, kind, {"element": size}
    length = _row(shapes, output)
    rows = size // length
    return f"{name} in rows", kind, {"element": size, "row": rows, "tail": rows * (length % LANES)}


def _row(shapes: list[tuple[int, ...]], output: tuple[int, ...]) -> int:
    """The number of consecutive outputs for which no operand is repeated, or one stays the same."""
    length, repeats = 1, [False] * len(shapes)
    padded = [(1,) * (len(output) - len(shape)) + shape for shape in shapes]
    for axis in reversed(range(len(output))):
        edges = [shape[axis] for shape in padded]
        now = [edge < output[axis] for edge in edges]
        if length > 1 and output[axis] > 1 and now != repeats:
            break
        if output[axis] > 1:
            length, repeats = length * output[axis], now
    return length


def _pooling(taps: int, output: tuple[int, ...]) -> Units:
    size = math.prod(output)
    return {"element": size, "output tap": size * taps, "pixel": math.prod(output[:-1])}


def _reversed(file: Flatbuffer, op: Op) -> str:
    """With the channels among the axes that are turned, TFLite's kernel copies value by value."""
    last = len(file.shape(op.inputs[0])) - 1
    axes = file.constant(op.inputs[1]).reshape(-1) if file.is_constant(op.inputs[1]) else ()
    return f"{op.name} of all" if last in axes else op.name


def _copied(name: str, shapes: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> tuple[str, Units]:
    """Rows of an output that lie together in the input."""
    whole, part = shapes[0], outputs[0]
    length = 1
    for before, after in zip(reversed(whole), reversed(part), strict=False):
        length *= after
        if before != after:
            break
    return name, {"element": math.prod(part), "row": math.prod(part) // length}


def _joined(name: str, shapes: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> tuple[str, Units]:
    whole = outputs[0]
    parts = [shape for shape in shapes if len(shape) == len(whole)]
    form = name if len(parts) <= MOST_JOINED else f"{name} of many"
    return form, _parts(whole, parts)


def _split(name: str, shapes: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> tuple[str, Units]:
    form = name if len(outputs) <= MOST_SPLIT else f"{name} of many"
    return form, _parts(max(shapes, key=math.prod), outputs)


def _parts(whole: tuple[int, ...], parts: list[tuple[int, ...]]) -> Units:
    """The rows of all parts, which start at the axis along which they differ from the whole."""
    axis = next((axis for axis, edge in enumerate(whole) if any(part[axis] != edge for part in parts)), 0)
    return {"element": math.prod(whole), "row": len(parts) * math.prod(whole[:axis])}


def _padded(name: str, shapes: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> tuple[str, Units]:
    of_channels = shapes[0][:-1] == outputs[0][:-1]
    return "PAD of channels" if of_channels else "PAD", {"element": math.prod(outputs[0])}


def _taking(name: str, shapes: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> tuple[str, Units]:
    return name, {"input": math.prod(shapes[0]), "pixel": math.prod(shapes[0][:-1])}


def _sloped(name: str, shapes: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> tuple[str, Units]:
    return name, {"element": math.prod(outputs[0]), "row": math.prod(outputs[0][:-1])}


def _other(name: str, shapes: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> tuple[str, Units]:
    return name, {"element": sum(map(math.prod, outputs))}


_MOVES: dict[str, Callable[..., tuple[str, Units]]] = {
    "SLICE": _copied,
    "STRIDED_SLICE": _copied,
    "CONCATENATION": _joined,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "PAD": _padded,
    "PADV2": _padded,
    "MEAN": _taking,
    "PRELU": _sloped,
    "LceQuantize": _taking,
}


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
