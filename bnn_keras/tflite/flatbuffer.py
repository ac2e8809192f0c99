"""TFLite files, read and edited.

The only module that uses LCE's Python copy of the TFLite schema. The copy is not part of LCE's public
interface, but there is no public one that edits a flatbuffer.
"""

import collections
import copy
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from larq_compute_engine.mlir.python import tflite_schema as schema

from bnn_keras.errors import UserError
from bnn_keras.tflite.bits import WORD as WORD

IDENTIFIER = b"TFL3"
BCONV, QUANTIZE = "LceBconv2d", "LceQuantize"
KERNEL = 1  # place of the kernel among the inputs of a convolution or dense layer
FLOAT_CONVS = ("CONV_2D", "DEPTHWISE_CONV_2D")
WITH_KERNEL = (BCONV, *FLOAT_CONVS, "FULLY_CONNECTED")
SEPARATOR = ";"  # between several names of a tensor, as TFLite itself writes them
# The NumPy types of the tensor types that constants have here.
TYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.BOOL: np.bool_,
}


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


OP_NAMES = _names(schema.BuiltinOperator)
OPTION_NAMES = _names(schema.BuiltinOptions)
TYPE_NAMES = _names(schema.TensorType)


@dataclasses.dataclass(frozen=True)
class Op:
    """One operation: its name, and the indices of its tensors (-1 for an absent one)."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Flatbuffer:
    """A TFLite file with one subgraph.

    Args:
        data: the file's bytes.

    Raises:
        UserError: it is not a TFLite file.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < 8 or data[4:8] != IDENTIFIER:
            raise UserError(
                "Not a TFLite file: the identifier TFL3 is missing; valid: a file that convert.py wrote."
            )
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
        # A damaged file may have none, which `bnn_keras.tflite.checking` refuses.
        self.graph = (self.model.subgraphs or [schema.SubGraphT()])[0]

    @property
    def ops(self) -> list[Op]:
        """The operations, in the order of execution."""
        return [
            Op(self.op_name(op.opcodeIndex), tuple(map(int, op.inputs)), tuple(map(int, op.outputs)))
            for op in self.graph.operators
        ]

    def op_name(self, index: int) -> str:
        """The name of an operation, by its place among the file's operator codes."""
        code = self.model.operatorCodes[index]
        if code.customCode:
            return code.customCode.decode()
        # Older files keep the code in a field of one byte.
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return OP_NAMES.get(number, f"with the number {number}")

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        shape = self.graph.tensors[index].shape
        return () if shape is None else tuple(map(int, shape))

    def is_constant(self, index: int) -> bool:
        """Whether the file holds the values of a tensor; False for -1, an absent one."""
        data = self.model.buffers[self.graph.tensors[index].buffer].data if index >= 0 else None
        return data is not None and len(data) > 0

    def constant(self, index: int) -> np.ndarray:
        """The values of a constant tensor."""
        data = self.model.buffers[self.graph.tensors[index].buffer].data
        kind = self.graph.tensors[index].type
        return np.frombuffer(bytes(data), TYPES[kind]).reshape(self.shape(index))

    def set_constant(self, index: int, values: np.ndarray) -> None:
        """Replace the values of a constant tensor, in a buffer of its own."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        self.graph.tensors[index].buffer = len(self.model.buffers) - 1

    def set_quantized(self, index: int, values: np.ndarray, scales: np.ndarray) -> None:
        """Replace a constant by whole numbers in int8 that stand for themselves times a scale.

        Args:
            index: of the tensor.
            values: int8, of the tensor's shape.
            scales: float32, one for each number along the first axis.
        """
        self.set_constant(index, values)
        quantization = schema.QuantizationParametersT()
        quantization.scale = scales.astype(np.float32)
        quantization.zeroPoint = np.zeros(len(scales), np.int64)
        quantization.quantizedDimension = 0
        tensor = self.graph.tensors[index]
        tensor.type, tensor.quantization = schema.TensorType.INT8, quantization

    def scales(self, index: int) -> np.ndarray | None:
        """The scales of a quantized tensor; None if it is not quantized."""
        quantization = self.graph.tensors[index].quantization
        scales = None if quantization is None else quantization.scale
        return None if scales is None or not len(scales) else np.array(scales)

    def drop_unused_constants(self) -> None:
        """Remove the values of constants that no operation takes."""
        for number in self._unused_buffers():
            self.model.buffers[number].data = None

    def buffer_of(self, index: int) -> int:
        """The buffer that a constant tensor has its values in; equal constants may share one."""
        return self.graph.tensors[index].buffer

    def unused_constants(self) -> dict[str, int]:
        """The bytes of constants that no operation takes, by the name of a tensor or buffer."""
        names = {tensor.buffer: tensor.name.decode() for tensor in self.graph.tensors}
        return {
            names.get(number, f"buffer {number}"): len(self.model.buffers[number].data)
            for number in self._unused_buffers()
        }

    def _unused_buffers(self) -> list[int]:
        used = {self.buffer_of(index) for op in self.ops for index in op.inputs if index >= 0}
        used |= {self.buffer_of(int(index)) for index in self.graph.outputs}
        used |= {item.buffer for item in self.model.metadata or ()}
        return [
            number
            for number, buffer in enumerate(self.model.buffers)
            if buffer.data is not None and len(buffer.data) and number not in used
        ]

    def tensors_by_name(self) -> dict[str, int]:
        """The index of every tensor by each of its names."""
        return {
            name: index
            for index, tensor in enumerate(self.graph.tensors)
            for name in tensor.name.decode().split(SEPARATOR)
        }

    def signature_outputs(self) -> dict[str, int]:
        """The tensors that the signature returns, by their names in it."""
        return {item.name.decode(): item.tensorIndex for item in self.model.signatureDefs[0].outputs}

    def name_tensors(self, names: Mapping[int, Sequence[str]]) -> None:
        """Give tensors one or more names each; the others keep the names that are theirs alone."""
        taken = {name for some in names.values() for name in some}
        for index, tensor in enumerate(self.graph.tensors):
            own = dict.fromkeys(name for name in tensor.name.decode().split(SEPARATOR) if name not in taken)
            taken.update(own)
            tensor.name = SEPARATOR.join(names.get(index, own or [f"tensor_{index}"])).encode()

    def keep_output(self, key: str, name: str) -> None:
        """Return only one output of the signature, under a new name."""
        signature = self.model.signatureDefs[0]
        (output,) = (item for item in signature.outputs if item.name.decode() == key)
        output.name = name
        signature.outputs = [output]
        self.graph.outputs = np.array([output.tensorIndex], np.int32)

    def store_filled_kernels(self) -> None:
        """Store the kernels that FILL computes.

        The converter writes a FILL for a large constant whose values are all equal, such as the signs of
        a binary kernel that are all +1. LCE and XNNPACK are made for constant kernels.
        """
        kernels = {op.inputs[KERNEL] for op in self.ops if op.name in WITH_KERNEL}
        kept = []
        for operator, op in zip(self.graph.operators, self.ops, strict=True):
            if op.name == "FILL" and op.outputs[0] in kernels and all(map(self.is_constant, op.inputs)):
                shape, value = map(self.constant, op.inputs)
                self.set_constant(op.outputs[0], np.full(shape, value))
            else:
                kept.append(operator)
        self.graph.operators = kept
        self.drop_unused_constants()

    def pad_only_where_needed(self) -> None:
        """Let convolutions pad nothing if their windows fit into the image with pixels to spare.

        These are strides larger than the kernel. What TFLite calls SAME pads nothing there either, but
        the interpreter of LCE then computes another function. Kernels of one pixel are computed rightly.
        """
        for operator, op in zip(self.graph.operators, self.ops, strict=True):
            options = operator.builtinOptions
            if op.name not in FLOAT_CONVS or options.padding != schema.Padding.SAME:
                continue
            sizes = (self.shape(index)[1:3] for index in (op.inputs[0], op.inputs[KERNEL], op.outputs[0]))
            image, kernel, output = map(np.array, sizes)
            window = (kernel - 1) * (options.dilationHFactor, options.dilationWFactor) + 1
            missing = (output - 1) * (options.strideH, options.strideW) + window - image
            if (window > 1).any() and (missing <= 0).all() and (missing < 0).any():
                options.padding = schema.Padding.VALID

    def quantize_before_joining(self) -> None:
        """Take signs of the parts of a feature map, and join these, where only the signs of it are taken.

        LCE takes the signs after the joining: it leaves a binary convolution float whose signs are joined.
        The parts must have whole words of channels.
        """
        ops = self.ops
        users = collections.Counter(index for op in ops for index in op.inputs)
        users.update(map(int, self.graph.outputs))
        joins = {op.outputs[0]: number for number, op in enumerate(ops) if op.name == "CONCATENATION"}
        before: dict[int, list] = {}  # the new operations, by the number of the one that joins
        moved = set()
        for number, op in enumerate(ops):
            join = joins.get(op.inputs[0]) if op.name == QUANTIZE else None
            if join is None or users[op.inputs[0]] > 1 or not self._joins_words(ops[join]):
                continue
            quantize, joining = self.graph.operators[number], self.graph.operators[join]
            before[join] = [self._quantize(quantize, index) for index in ops[join].inputs]
            joining.inputs = np.array([int(one.outputs[0]) for one in before[join]], np.int32)
            joining.outputs = quantize.outputs
            moved.add(number)
        self.graph.operators = [
            one
            for number, operator in enumerate(self.graph.operators)
            if number not in moved
            for one in (*before.get(number, ()), operator)
        ]

    def _joins_words(self, join: Op) -> bool:
        shapes = [self.shape(index) for index in (*join.inputs, *join.outputs)]
        joined = len(shapes[0]) == 4 and len({shape[:-1] for shape in shapes}) == 1  # along the channels
        return joined and all(shape[-1] % WORD == 0 for shape in shapes)

    def _quantize(self, operator: Any, index: int) -> Any:
        """A new operation, as `operator`, that takes the signs of a tensor."""
        signs = copy.copy(self.graph.tensors[int(operator.outputs[0])])
        *place, channels = self.shape(index)
        signs.shape = np.array([*place, channels // WORD], np.int32)
        signs.name = f"signs_of_{index}_{len(self.graph.tensors)}".encode()
        self.graph.tensors.append(signs)
        new = copy.copy(operator)
        new.inputs = np.array([index], np.int32)
        new.outputs = np.array([len(self.graph.tensors) - 1], np.int32)
        return new

    def note(self, name: str, content: bytes) -> None:
        """Store bytes that no operation uses, under a name."""
        buffer, item = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(content, np.uint8)
        self.model.buffers.append(buffer)
        item.name, item.buffer = name.encode(), len(self.model.buffers) - 1
        self.model.metadata = [*(self.model.metadata or ()), item]

    def noted(self, name: str) -> bytes | None:
        """The bytes that are stored under a name; None if there are none."""
        for item in self.model.metadata or ():
            if item.name == name.encode():
                data = self.model.buffers[item.buffer].data
                return b"" if data is None else bytes(bytearray(data))
        return None

    def returning(self, indices: Sequence[int]) -> bytes:
        """The bytes of the same file with these tensors as its outputs."""
        before, signatures = self.graph.outputs, self.model.signatureDefs
        self.graph.outputs, self.model.signatureDefs = np.array(indices, np.int32), None
        try:
            return self.pack()
        finally:
            self.graph.outputs, self.model.signatureDefs = before, signatures

    def cut(self, tensors: Collection[int], numbers: Collection[int]) -> tuple[list[int], list[int]]:
        """Keep some operations only, which take the given tensors as inputs of the file.

        Args:
            tensors: the inputs of the operations, and their outputs that the file returns.
            numbers: of the operations.

        Returns:
            The tensors that the file takes, and those that it returns, by their numbers so far.
        """
        graph, ops = self.graph, self.ops
        taken = sorted({index for number in numbers for index in ops[number].inputs}.intersection(tensors))
        returned = sorted(
            {index for number in numbers for index in ops[number].outputs}.intersection(tensors)
        )
        inputs = {index: len(graph.tensors) + i for i, index in enumerate(taken)}
        for index in taken:
            tensor = copy.copy(graph.tensors[index])
            tensor.name = f"input_{index}".encode()
            graph.tensors.append(tensor)
        graph.operators = [graph.operators[number] for number in sorted(numbers)]
        for operator in graph.operators:
            operator.inputs = np.array([inputs.get(int(i), int(i)) for i in operator.inputs], np.int32)
        graph.inputs = np.array(list(inputs.values()), np.int32)
        graph.outputs = np.array(returned, np.int32)
        self.model.signatureDefs = None
        return taken, returned

    def pack(self) -> bytes:
        """The file's bytes."""
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=IDENTIFIER)
        return bytes(builder.Output())
