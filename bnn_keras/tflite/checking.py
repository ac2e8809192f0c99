"""Checking a .tflite file from a stranger before anything uses it.

TFLite trusts its input: an operation that takes a tensor that is not there ends the process. First the
layout of the file is checked (`bnn_keras.tflite.layout`), then what its tables say.
"""

import itertools
import math
import os
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from flatbuffers import flexbuffers

from bnn_keras.errors import UserError
from bnn_keras.tflite.flatbuffer import (
    IDENTIFIER,
    KERNEL,
    OPTION_NAMES,
    TYPE_NAMES,
    WITH_KERNEL,
    Flatbuffer,
)
from bnn_keras.tflite.layout import DamagedError, Layout
from bnn_keras.tflite.operations import CUSTOM_OPERATIONS, NEWEST_VERSION, OPTIONS_OF, VALUE_SIZES

SCHEMA_VERSION = 3
LARGEST_FILE = 2**31  # bytes; the format has no larger offsets
LONGEST_RANK = 8
LONGEST_OPTIONS = 4096  # bytes
LARGEST_SUM = 2**32  # bytes of all tensors
# What reading a damaged flexbuffer raises.
DAMAGES = (struct.error, LookupError, ValueError, TypeError, AttributeError, ArithmeticError)


def check_tflite(content: bytes, name: str | os.PathLike) -> Flatbuffer:
    """Check a whole file.

    Args:
        content: the file's bytes.
        name: of the file, for the message.

    Returns:
        The file, as tables.

    Raises:
        UserError: it is damaged, or has more than one network of known operations.
    """
    if content[4:8] != IDENTIFIER:
        raise UserError(
            f"{name} is not a TFLite file: the identifier TFL3 is missing; valid: a file of bnn convert."
        )
    try:
        Layout(content).check()
        file = Flatbuffer(content)
        _check_tensors(file)
        _check_operations(file)
        _check_order(file)
        _check_inputs(file)
        _check_references(file)
    except DamagedError as error:
        raise UserError(f"{name} is refused: the file {error}.") from error
    return file


def _check_tensors(file: Flatbuffer) -> None:
    model = file.model
    graphs, buffers = len(model.subgraphs or ()), model.buffers or ()
    if model.version != SCHEMA_VERSION or graphs != 1:
        raise DamagedError(f"has {graphs} graphs in version {model.version}; valid: one in version 3")
    if any(buffer.offset or buffer.size for buffer in buffers):
        raise DamagedError("has constants outside of its tables")
    total = 0
    for index, tensor in enumerate(file.graph.tensors or ()):
        kind, shape = TYPE_NAMES.get(tensor.type, str(tensor.type)), file.shape(index)
        if kind not in VALUE_SIZES or tensor.isVariable:
            raise DamagedError(f"has a tensor {index} that is a variable or of type {kind}")
        if tensor.name is None or tensor.buffer >= len(buffers):
            raise DamagedError(f"has a tensor {index} without a name or a buffer")
        if len(shape) > LONGEST_RANK:
            raise DamagedError(f"has a tensor {index} with {len(shape)} axes; valid: at most {LONGEST_RANK}")
        if any(edge < 0 for edge in shape):
            raise DamagedError(f"has a tensor {index} of shape {shape}")
        size = math.ceil(VALUE_SIZES[kind] * math.prod(shape))
        total += size
        if total > LARGEST_SUM:
            raise DamagedError(f"has tensors of more than {LARGEST_SUM:,} bytes")
        if file.is_constant(index) and len(buffers[tensor.buffer].data) != size:
            raise DamagedError(f"has a tensor {index} of shape {shape} whose buffer has another size")
        _check_quantization(tensor.quantization, shape, index)


def _check_quantization(quantization: Any, shape: tuple[int, ...], index: int) -> None:
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return
    scales, axis = quantization.scale, quantization.quantizedDimension
    zeros = () if quantization.zeroPoint is None else quantization.zeroPoint
    edge = shape[axis] if 0 <= axis < len(shape) else 1
    if len(scales) not in (1, edge) or len(zeros) not in (1, len(scales)):
        raise DamagedError(f"has a tensor {index} of shape {shape} whose quantization has another size")
    if not all(math.isfinite(scale) and scale > 0 for scale in scales):
        raise DamagedError(f"has a tensor {index} whose quantization has a scale that is not positive")


def _check_operations(file: Flatbuffer) -> None:
    codes = file.model.operatorCodes or ()
    for operator in file.graph.operators or ():
        if operator.opcodeIndex >= len(codes):
            raise DamagedError(f"has an operation of kind {operator.opcodeIndex}; valid: below {len(codes)}")
        name = file.op_name(operator.opcodeIndex)
        version = codes[operator.opcodeIndex].version
        if not 1 <= version <= NEWEST_VERSION:
            raise DamagedError(f"has an operation {name} of version {version}")
        has_tensors = operator.intermediates is not None and len(operator.intermediates)
        if has_tensors or operator.largeCustomOptionsSize or operator.largeCustomOptionsOffset:
            raise DamagedError(f"has an operation {name} with tensors or options of its own")
        if name in CUSTOM_OPERATIONS:
            _check_custom_options(name, operator.customOptions)
        elif name not in OPTIONS_OF:
            raise DamagedError(f"has the operation {name}, which is not run here")
        elif operator.builtinOptionsType and OPTION_NAMES[operator.builtinOptionsType] != OPTIONS_OF[name]:
            raise DamagedError(f"has an operation {name} with the options of another operation")


def _check_custom_options(name: str, options: Sequence[int] | None) -> None:
    ranges = CUSTOM_OPERATIONS[name]
    try:
        found = {} if options is None or not len(options) else whole_numbers(bytes(bytearray(options)))
    except DAMAGES as error:
        raise DamagedError(f"has an operation {name} whose options are damaged") from error
    if name == "LceBconv2d" and "channels_in" not in found:
        raise DamagedError(f"has an operation {name} without channels_in")
    for key, value in found.items():
        least, largest = ranges.get(key, (1, 0))
        if not least <= value <= largest:
            raise DamagedError(f"has an operation {name} whose option {key!r} is {value}")


def whole_numbers(options: bytes) -> dict[str, int]:
    """The whole numbers of a flexbuffer that is a map of them."""
    root = flexbuffers.GetRoot(options).AsMap
    if max(len(options), len(root)) > LONGEST_OPTIONS:
        raise ValueError("too many options")
    # Not root.Value, which would unfold vectors in vectors, however often they refer to one another.
    keys, values = root.Keys, root.Values
    return {keys[i].AsKey: values[i].AsInt for i in range(len(root))}


def _check_order(file: Flatbuffer) -> None:
    """Each operation takes constants, inputs and outputs of earlier operations; each output is new."""
    graph = file.graph
    count = len(graph.tensors or ())
    inputs, outputs = _indices(graph.inputs, count), _indices(graph.outputs, count)
    if not inputs or not outputs:
        raise DamagedError("has no inputs or no outputs")
    known = {index for index in range(count) if file.is_constant(index)}
    if known & set(inputs) or len(set(inputs)) < len(inputs):
        raise DamagedError("has an input that is a constant, or the same input twice")
    known |= set(inputs)
    for operator in graph.operators or ():
        taken = set(_indices(operator.inputs, count, least=-1)) - {-1}
        given = _indices(operator.outputs, count)
        name = file.op_name(operator.opcodeIndex)
        if not given or not taken <= known:
            raise DamagedError(f"has an operation {name} that takes what no operation before it computes")
        if known & set(given) or len(set(given)) < len(given):
            raise DamagedError(f"has an operation {name} that overwrites a tensor")
        known |= set(given)
    if not set(outputs) <= known:
        raise DamagedError("has an output that no operation computes")


def _check_inputs(file: Flatbuffer) -> None:
    """Each operation has an input, and those with a kernel have it, in the form that it has in any file."""
    count = len(file.graph.tensors or ())
    for operator in file.graph.operators or ():
        name = file.op_name(operator.opcodeIndex)
        needed = 2 if name in (*WITH_KERNEL, "REVERSE_V2") else 1
        inputs = _indices(operator.inputs, count, least=-1)
        if len(inputs) < needed or -1 in inputs[:needed]:
            raise DamagedError(f"has an operation {name} with fewer than {needed} inputs")
        if name in WITH_KERNEL:
            is_dense = name == "FULLY_CONNECTED"
            indices = (inputs[KERNEL],) if is_dense else (inputs[KERNEL], inputs[0], operator.outputs[0])
            kernel, *maps = map(file.shape, indices)
            axes = 2 if is_dense else 4
            if any(len(shape) != axes for shape in (kernel, *maps)) or 0 in kernel:
                raise DamagedError(f"has an operation {name} whose kernel has the shape {kernel}")


def _indices(found: Iterable[int] | None, count: int, least: int = 0) -> list[int]:
    indices = [] if found is None else [int(index) for index in found]
    if any(not least <= index < count for index in indices):
        raise DamagedError(f"refers to a tensor that it does not have; valid: 0 to {count - 1}")
    return indices


def _check_references(file: Flatbuffer) -> None:
    """Check the signatures and the metadata."""
    count = len(file.graph.tensors)
    for signature in file.model.signatureDefs or ():
        items = list(itertools.chain(signature.inputs or (), signature.outputs or ()))
        _indices((item.tensorIndex for item in items), count)
        if signature.subgraphIndex != 0 or any(item.name is None for item in items):
            raise DamagedError("has a signature of another graph, or without names")
    for item in file.model.metadata or ():
        if item.buffer >= len(file.model.buffers):
            raise DamagedError(f"has metadata in a buffer {item.buffer} that does not exist")
