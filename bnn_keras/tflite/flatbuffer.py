"""TFLite flatbuffers taken apart and put together again.

The only module that uses LCE's Python copy of the TFLite schema, which is not part of its public
interface; nothing public edits a flatbuffer.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import flatbuffers
import numpy as np
from larq_compute_engine.mlir.python import tflite_schema as schema

from bnn_keras.errors import UserError

IDENTIFIER = b"TFL3"
BCONV = "LceBconv2d"
WORD = 32  # LCE packs the input channels of a binary kernel into words of 32 bits
# numpy's type for the tensor types that constants have here.
TYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.BOOL: np.bool_,
}
OP_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


@dataclasses.dataclass(frozen=True)
class Op:
    """One operation: its name, and the indices of its tensors (-1 for an absent one)."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Flatbuffer:
    """A TFLite file with one subgraph, in pieces.

    Args:
        data: the file's bytes.

    Raises:
        UserError: it is not a TFLite file.
    """

    def __init__(self, data: bytes):
        if len(data) < 8 or data[4:8] != IDENTIFIER:
            raise UserError(
                "Not a TFLite file: the identifier TFL3 is missing; valid: what convert.py wrote."
            )
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
        self.graph = self.model.subgraphs[0]

    @property
    def ops(self) -> list[Op]:
        """The operations in the order in which they are run."""
        return [
            Op(self._op_name(op.opcodeIndex), tuple(map(int, op.inputs)), tuple(map(int, op.outputs)))
            for op in self.graph.operators
        ]

    def _op_name(self, index: int) -> str:
        code = self.model.operatorCodes[index]
        if code.customCode:
            return code.customCode.decode()
        # Older files keep the code in a field of one byte.
        return OP_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        shape = self.graph.tensors[index].shape
        return () if shape is None else tuple(map(int, shape))

    def is_constant(self, index: int) -> bool:
        """Whether a tensor (by its index, -1 for an absent one) is in the file and not computed."""
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

    def constants(self) -> Iterator[tuple[int, Op, int]]:
        """Every buffer of constants once: a tensor, the operation that takes it, its place there."""
        seen = set()
        for op in self.ops:
            for place, index in enumerate(op.inputs):
                if self.is_constant(index):
                    buffer = self.graph.tensors[index].buffer
                    if buffer not in seen:
                        seen.add(buffer)
                        yield index, op, place

    def indices(self) -> dict[str, int]:
        """The tensors by their names."""
        return {tensor.name.decode(): index for index, tensor in enumerate(self.graph.tensors)}

    def signature_outputs(self) -> dict[str, int]:
        """The tensors that the signature returns, by the names that it gives them."""
        return {item.name.decode(): item.tensorIndex for item in self.model.signatureDefs[0].outputs}

    def rename(self, names: Mapping[int, str]) -> None:
        """Name tensors anew."""
        for index, name in names.items():
            self.graph.tensors[index].name = name.encode()

    def keep_outputs(self, names: Sequence[str]) -> None:
        """Return only these outputs of the signature, in this order."""
        signature = self.model.signatureDefs[0]
        outputs = {item.name.decode(): item for item in signature.outputs}
        signature.outputs = [outputs[name] for name in names]
        self.graph.outputs = np.array([item.tensorIndex for item in signature.outputs], np.int32)

    def returning(self, indices: Sequence[int]) -> bytes:
        """The file with these tensors as its outputs; what it computes stays as it was."""
        before, signatures = self.graph.outputs, self.model.signatureDefs
        self.graph.outputs, self.model.signatureDefs = np.array(indices, np.int32), None
        try:
            return self.pack()
        finally:
            self.graph.outputs, self.model.signatureDefs = before, signatures

    def pack(self) -> bytes:
        """The file's bytes."""
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=IDENTIFIER)
        return bytes(builder.Output())


def pack_signs(kernel: np.ndarray) -> np.ndarray:
    """A kernel's signs as LCE packs them.

    Args:
        kernel: [height, width, input channels, output channels].

    Returns:
        int32 [output channels, height, width, words of 32 input channels], a bit set where negative.
    """
    negative = np.moveaxis(kernel < 0, -1, 0)
    spare = -negative.shape[-1] % WORD
    negative = np.pad(negative, [(0, 0)] * 3 + [(0, spare)])
    packed = np.packbits(negative, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<i4")


def unpack_bits(words: np.ndarray, channels: int) -> np.ndarray:
    """The bits of `pack_signs` again: bool [output channels, height, width, input channels]."""
    return np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")[..., :channels].astype(bool)
