"""The operations of a file in integers beside those of its float file.

What stays in floats must be the same bit by bit, binary convolutions among it: the order of the operations,
their options, their constants, and the tensors that they take and give. A multiplication may be added before
an operation with an integer kernel, whose weights are divided by the same factors
(`bnn_keras.deploy.quantize.equalization`).
"""

from typing import Any

import numpy as np

from bnn_keras.tflite.flatbuffer import KERNEL, SEPARATOR, Flatbuffer, Op
from bnn_keras.tflite.int8 import BIAS, WITH_INTEGER_KERNEL
from bnn_keras.tflite.integers import Scale

BETWEEN = ("QUANTIZE", "DEQUANTIZE")  # that the float file does not have


class Pairing:
    """A file in integers, and the float file that it was made from.

    Args:
        file, floats: the two files.

    Attributes:
        pairs: the numbers of the same operation in both files.
        problems: where the files differ without need, in words.
    """

    def __init__(self, file: Flatbuffer, floats: Flatbuffer) -> None:
        self.file, self.floats = file, floats
        self.problems: list[str] = []
        self._sources = {op.outputs[0]: op.inputs[0] for op in file.ops if op.name in BETWEEN}
        self._multiplied = {op.outputs[0]: op.inputs for op in file.ops if self.is_added(op)}
        self._same: dict[int, int] = {}  # the tensor of the float file, by one of integers
        core = [
            number
            for number, op in enumerate(file.ops)
            if op.name not in BETWEEN and op.outputs[0] not in self._multiplied
        ]
        ours, theirs = [file.ops[number] for number in core], floats.ops
        if [op.name for op in ours] != [op.name for op in theirs]:
            self.problems.append("the file has other operations than its float file")
            core = []
        self.pairs = list(zip(core, range(len(core)), strict=True))
        for number, their_number in self.pairs:
            self._compare(ours[their_number], theirs[their_number], number, their_number)
        if list(file.graph.outputs) != list(floats.graph.outputs):
            self.problems.append("the file returns another tensor than its float file")

    def is_added(self, op: Op) -> bool:
        """Whether an operation is a multiplication with constants that the float file does not have."""
        is_new = op.outputs[0] >= len(self.floats.graph.tensors)
        return op.name == "MUL" and is_new and self.file.is_constant(op.inputs[1])

    def factors(self, op: Op) -> np.ndarray | float:
        """What the input of an operation was multiplied by before it was quantized: [channels], or 1."""
        floats = self._sources.get(op.inputs[0], op.inputs[0])
        if floats not in self._multiplied:
            return 1.0
        return self.file.constant(self._multiplied[floats][1]).astype(np.float64)

    def name(self, op: Op) -> str:
        """The name of what an operation of the float file computes."""
        return self.name_of(op.outputs[0])

    def name_of(self, tensor: int) -> str:
        """The name of a tensor of floats."""
        return self.file.graph.tensors[tensor].name.decode().split(SEPARATOR)[0]

    def scale(self, tensor: int) -> Scale | None:
        """The scale of a tensor of integers; None for one of floats."""
        quantization = self.file.graph.tensors[tensor].quantization
        is_float = quantization is None or quantization.scale is None or self.file.is_constant(tensor)
        if is_float or tensor < len(self.floats.graph.tensors):
            return None
        return Scale(float(quantization.scale[0]), int(quantization.zeroPoint[0]))

    def _compare(self, ours: Op, theirs: Op, number: int, their_number: int) -> None:
        self._same.update(zip(ours.outputs, theirs.outputs, strict=True))
        for place, (own, other) in enumerate(zip(ours.inputs, theirs.inputs, strict=True)):
            may_differ = theirs.name in WITH_INTEGER_KERNEL and place in (KERNEL, BIAS)
            if own == other:
                if not self._same_constant(own):
                    self._refuse(theirs, "has other constants")
            elif not may_differ:
                has_other_kernel = (
                    theirs.name in WITH_INTEGER_KERNEL and ours.inputs[KERNEL] != theirs.inputs[KERNEL]
                )
                can_be_multiplied = has_other_kernel and place == 0
                if self._original(own, can_be_multiplied) != other:
                    self._refuse(theirs, "takes other tensors")
        operators = self.file.graph.operators[number], self.floats.graph.operators[their_number]
        if len(set(map(_options, operators))) > 1:
            self._refuse(theirs, "has other options")

    def _refuse(self, op: Op, what: str) -> None:
        self.problems.append(f"{self.name(op)}: the operation {op.name} {what} than in the float file")

    def _original(self, tensor: int, can_be_multiplied: bool) -> int:
        """The tensor of the float file that has the same values but for rounding, and for factors."""
        while tensor in self._sources:
            tensor = self._sources[tensor]
        if can_be_multiplied and tensor in self._multiplied:
            tensor = self._multiplied[tensor][0]
        return self._same.get(tensor, tensor)

    def _same_constant(self, tensor: int) -> bool:
        if tensor < 0 or not self.floats.is_constant(tensor):
            return True
        found = [
            bytes(np.asarray(each.model.buffers[each.buffer_of(tensor)].data, np.uint8))
            if each.is_constant(tensor)
            else b""
            for each in (self.file, self.floats)
        ]
        return found[0] == found[1]


def _options(operator: Any) -> tuple:
    builtin, custom = operator.builtinOptions, operator.customOptions
    own = () if builtin is None else tuple(sorted((k, str(v)) for k, v in vars(builtin).items()))
    return own, b"" if custom is None else bytes(np.asarray(custom, np.uint8))
