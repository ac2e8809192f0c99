"""Operations of a TFLite file in integers: QUANTIZE, DEQUANTIZE, integer convolutions and dense layers."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bnn_keras.tflite.flatbuffer import KERNEL, SEPARATOR, Flatbuffer, schema
from bnn_keras.tflite.integers import LARGEST_BIAS, Kernel, Scale

BIAS = 2  # place of the bias among the inputs of a convolution or dense layer
KINDS = {8: schema.TensorType.INT8, 4: schema.TensorType.INT4}
WITH_INTEGER_KERNEL = ("CONV_2D", "FULLY_CONNECTED")
# Versions of the operations that take such types.
VERSIONS = {
    "QUANTIZE": 1,
    "DEQUANTIZE": 2,
    "CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "MAX_POOL_2D": 2,
    "SPLIT": 2,
    "CONCATENATION": 2,
    "RESHAPE": 1,
    "MUL": 1,
}
CONV_OF_4_BITS, DEQUANTIZE_OF_CHANNELS = 7, 5


@dataclasses.dataclass(frozen=True)
class Equalization:
    """How the channels of an input are brought to like ranges.

    Args:
        factors: float64 [channels], powers of two: the values are multiplied by them, the weights divided.
        scale: of the input that is multiplied.
    """

    factors: np.ndarray
    scale: Scale


class Editor:
    """Turns operations of a file into integer ones.

    Args:
        file: that is changed. Its tensors keep their numbers; new ones come after them.
        scales: of the activations that are to be integers, by tensor.
        equalizations: of the inputs of operations that are computed in integers, by number.

    Attributes:
        integers: the tensors of integers, by the tensor of the same values.
        kernels: the kernels in integers, by the number that the operation had.
        equalized: the tensors of integers whose channels were brought to like ranges before, by that number.
    """

    def __init__(
        self, file: Flatbuffer, scales: Mapping[int, Scale], equalizations: Mapping[int, Equalization]
    ) -> None:
        self.file, self.scales, self.ops = file, scales, file.ops
        self.equalizations = equalizations
        self.integers: dict[int, int] = {}
        self.kernels: dict[int, Kernel] = {}
        self.equalized: dict[int, int] = {}
        self._codes: dict[tuple[str, int], int] = {}

    def apply(self, integer: Mapping[int, int], weights_only: Mapping[int, int]) -> list[int]:
        """Change the file.

        Args:
            integer: the operations, by number, that are computed in integers, and the bits of their kernels.
            weights_only: those whose kernels are stored in so many bits, and computed with as floats.

        Returns:
            For each operation of the changed file the number that it, or the one that it serves, had.
        """
        made = {index for number in integer for index in self.ops[number].outputs}
        kept = {i for number, op in enumerate(self.ops) if number not in integer for i in op.inputs}
        kept |= set(map(int, self.file.graph.outputs))
        new: list[Any] = []
        numbers: list[int] = []
        for number, operator in enumerate(self.file.graph.operators):
            op = self.ops[number]
            if number in weights_only:
                new += self._with_rounded_weights(number, operator, weights_only[number])
            elif number in integer:
                new += self._taken_as_integers(number)
                new.append(self._as_integers(number, operator, integer[number]))
                new += [self._dequantize(index) for index in op.outputs if index in made & kept]
            else:
                new.append(operator)
            numbers += [number] * (len(new) - len(numbers))
        self.file.graph.operators = new
        self.file.store_filled_kernels()  # and drop the constants that no operation takes any more
        return numbers

    def _taken_as_integers(self, number: int) -> list[Any]:
        """The operations that turn what an operation takes into integers, where it is in floats."""
        inputs = self.ops[number].inputs
        if number not in self.equalizations:
            return [self._quantize(i) for i in inputs if i in self.scales and i not in self.integers]
        equalization, name = self.equalizations[number], self._name(inputs[0])
        data = equalization.factors.astype(np.float32).tobytes()
        factors = self._tensor(inputs[0], f"{name}/factors_{number}", schema.TensorType.FLOAT32, data)
        self.file.graph.tensors[factors].shape = np.array([len(equalization.factors)], np.int32)
        floats = self._tensor(inputs[0], f"{name}/equalized_{number}", schema.TensorType.FLOAT32)
        multiply = self._operator("MUL", VERSIONS["MUL"], inputs[0], floats)
        multiply.inputs = np.array([inputs[0], factors], np.int32)
        multiply.builtinOptionsType = schema.BuiltinOptions.MulOptions
        multiply.builtinOptions = schema.MulOptionsT()
        integers = self._integers_of(floats, equalization.scale)
        self.equalized[number] = integers
        return [multiply, self._operator("QUANTIZE", VERSIONS["QUANTIZE"], floats, integers)]

    def _as_integers(self, number: int, operator: Any, bits: int) -> Any:
        op, changed = self.ops[number], copy.copy(operator)
        inputs = [self.integers.get(index, index) for index in op.inputs]
        version = VERSIONS[op.name]
        if op.name in WITH_INTEGER_KERNEL:
            weights = self.file.constant(op.inputs[KERNEL]).astype(np.float64)
            scale = self.scales[op.inputs[0]]
            if number in self.equalizations:
                inputs[0] = self.equalized[number]
                weights, scale = (
                    weights / self.equalizations[number].factors,
                    self.equalizations[number].scale,
                )
            taken = np.float64(scale.scale)
            bias = self.file.constant(op.inputs[BIAS]).astype(np.float64) if op.inputs[BIAS] >= 0 else None
            least = 0.0 if bias is None else np.abs(bias) / (taken * LARGEST_BIAS)
            kernel = self.kernels[number] = Kernel.of(weights, bits, least)
            inputs[KERNEL] = self._kernel(op.inputs[KERNEL], kernel)
            if bias is not None:
                steps = taken * kernel.scales.astype(np.float64)
                inputs[BIAS] = self._bias(op.inputs[BIAS], np.rint(bias / steps).astype(np.int32), steps)
            version = CONV_OF_4_BITS if bits == 4 else version
        changed.opcodeIndex = self._code(op.name, version)
        changed.inputs = np.array(inputs, np.int32)
        changed.outputs = np.array([self._integer(index) for index in op.outputs], np.int32)
        return changed

    def _with_rounded_weights(self, number: int, operator: Any, bits: int) -> list[Any]:
        op, changed = self.ops[number], copy.copy(operator)
        index = op.inputs[KERNEL]
        kernel = self.kernels[number] = Kernel.of(self.file.constant(index).astype(np.float64), bits)
        rounded = self._kernel(index, kernel)
        floats = self._tensor(index, f"rounded_{index}_{number}", schema.TensorType.FLOAT32)
        changed.inputs = np.array([floats if i == index else i for i in op.inputs], np.int32)
        return [self._operator("DEQUANTIZE", DEQUANTIZE_OF_CHANNELS, rounded, floats), changed]

    def _quantize(self, index: int) -> Any:
        return self._operator("QUANTIZE", VERSIONS["QUANTIZE"], index, self._integer(index))

    def _dequantize(self, index: int) -> Any:
        return self._operator("DEQUANTIZE", VERSIONS["DEQUANTIZE"], self.integers[index], index)

    def _operator(self, name: str, version: int, taken: int, given: int) -> Any:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(name, version)
        operator.inputs, operator.outputs = np.array([taken], np.int32), np.array([given], np.int32)
        return operator

    def _code(self, name: str, version: int) -> int:
        """The place of an operation in a version among the file's operator codes."""
        if (name, version) not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)  # in older files the code itself
            code.version = version
            self.file.model.operatorCodes.append(code)
            self._codes[name, version] = len(self.file.model.operatorCodes) - 1
        return self._codes[name, version]

    def _integer(self, index: int) -> int:
        """The tensor of integers for an activation."""
        if index not in self.integers:
            self.integers[index] = self._integers_of(index, self.scales[index])
        return self.integers[index]

    def _integers_of(self, index: int, scale: Scale) -> int:
        kind = schema.TensorType.INT8
        return self._tensor(index, f"int8_{index}", kind, scales=[scale.scale], zeros=[scale.zero])

    def _name(self, index: int) -> str:
        return self.file.graph.tensors[index].name.decode().split(SEPARATOR)[0]

    def _kernel(self, index: int, kernel: Kernel) -> int:
        name, zeros = f"int{kernel.bits}_{index}_{len(self.kernels)}", np.zeros(len(kernel.scales))
        return self._tensor(index, name, KINDS[kernel.bits], kernel.packed, kernel.scales, zeros)

    def _bias(self, index: int, integers: np.ndarray, steps: np.ndarray) -> int:
        name, zeros = f"int32_{index}_{len(self.kernels)}", np.zeros(len(steps))
        return self._tensor(index, name, schema.TensorType.INT32, integers.tobytes(), steps, zeros)

    def _tensor(
        self,
        like: int,
        name: str,
        kind: int,
        data: bytes | None = None,
        scales: Sequence[float] | np.ndarray | None = None,
        zeros: Sequence[float] | np.ndarray = (),
    ) -> int:
        """A new tensor of the shape of another one."""
        tensor = copy.copy(self.file.graph.tensors[like])
        tensor.name, tensor.type, tensor.buffer, tensor.quantization = name.encode(), kind, 0, None
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array(scales, np.float32)
            tensor.quantization.zeroPoint = np.array(zeros, np.int64)
        self.file.graph.tensors.append(tensor)
        index = len(self.file.graph.tensors) - 1
        if data is not None:
            self.file.set_constant(index, np.frombuffer(data, np.uint8))
        return index
