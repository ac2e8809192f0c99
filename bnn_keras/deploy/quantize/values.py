"""The values of a file's tensors, and the bounds that follow from its scales.

`bnn_keras.deploy.quantize.stages` derives the bounds.
"""

import dataclasses
from typing import Any

import numpy as np

from bnn_keras.deploy.quantize import arithmetic
from bnn_keras.deploy.quantize.pairing import BETWEEN, Pairing
from bnn_keras.deploy.quantize.stage import Stage, stage_of
from bnn_keras.nn.intervals import SPARE, UNIT
from bnn_keras.tflite.flatbuffer import KERNEL, TYPE_NAMES, Flatbuffer, Op
from bnn_keras.tflite.int8 import BIAS, WITH_INTEGER_KERNEL
from bnn_keras.tflite.integers import Scale
from bnn_keras.tflite.interpreter import Interpreter

OUTPUT_STEPS = 0.75
# Relative, of TFLite's multipliers of 31 bits and of scales in float32, which follow from one another.
FIXED_POINT = 2.0**-20


class Values:
    """The values of a file's tensors for images, in float64.

    Args:
        pairing: of the file and its float file.
        flatbuffer: the bytes of the file.
        images: [n, ...].
        kernels: that run it, of `bnn_keras.tflite.interpreter.kernels_of`.
    """

    def __init__(self, pairing: Pairing, flatbuffer: bytes, images: np.ndarray, kernels: str) -> None:
        self.pairing, self.file, self.floats = pairing, pairing.file, pairing.floats
        rounded = {op.outputs[0] for op in self.file.ops if op.name == "DEQUANTIZE"}
        ops = [
            op
            for op in self.file.ops
            if op.name in BETWEEN or pairing.is_added(op) or self._is_changed(op, rounded)
        ]
        tensors = {index for op in ops for index in (*op.inputs, *op.outputs) if index >= 0}
        wanted = sorted(index for index in tensors if not self._is_known(index))
        interpreter = Interpreter(Flatbuffer(flatbuffer).returning(wanted), is_checked=True, kernels=kernels)
        self._arrays = dict(zip(wanted, interpreter.predict_all([images]), strict=True))

    def _is_changed(self, op: Op, rounded: set[int]) -> bool:
        return any(self.pairing.scale(index) for index in op.outputs) or not rounded.isdisjoint(op.inputs)

    def _is_known(self, index: int) -> bool:
        """Whether a tensor is a constant, or one that was turned into floats."""
        sources = {op.outputs[0]: op.inputs[0] for op in self.file.ops if op.name == "DEQUANTIZE"}
        return self.file.is_constant(sources.get(index, index))

    def of(self, index: int) -> np.ndarray:
        """The values that a tensor stands for."""
        scale, values = self.pairing.scale(index), self._arrays[index]
        return values.astype(np.float64) if scale is None else scale.values(values)

    def between(self, op: Op) -> Stage:
        """QUANTIZE: half a step. DEQUANTIZE: roundings of floats."""
        taken, given = self.of(op.inputs[0]), self.of(op.outputs[0])
        name = self.pairing.name_of(op.outputs[0] if op.name == "DEQUANTIZE" else op.inputs[0])
        scale = self.pairing.scale(op.outputs[0])
        if scale is None:
            own = self.pairing.scale(op.inputs[0])
            offset = 0.0 if own is None else abs(own.scale * own.zero)
            return stage_of(name, op.name, given, taken, SPARE * UNIT * (np.abs(taken) + offset))
        low, high = scale.ends
        cut = float(np.mean((taken < low - scale.scale / 2) | (taken > high + scale.scale / 2)))
        bound = scale.scale / 2 + FIXED_POINT * np.abs(taken)
        return dataclasses.replace(stage_of(name, op.name, given, np.clip(taken, low, high), bound), cut=cut)

    def multiplied(self, op: Op) -> Stage:
        """A multiplication before a convolution: by powers of two, and so exact."""
        taken, given = self.of(op.inputs[0]), self.of(op.outputs[0])
        exact = taken * self.file.constant(op.inputs[1]).astype(np.float64)
        return stage_of(self.pairing.name_of(op.inputs[0]), op.name, given, exact, np.zeros(1))

    def changed(self, ours: Op, theirs: Op, operator: Any) -> Stage | None:
        """An operation with integers; None for one of floats."""
        scale, name = self.pairing.scale(ours.outputs[0]), self.pairing.name(theirs)
        options = operator.builtinOptions
        if theirs.name not in WITH_INTEGER_KERNEL:
            if scale is None:
                return None
            return self._moved(ours, theirs, options, name)
        if ours.inputs[KERNEL] == theirs.inputs[KERNEL]:
            return None
        return self._with_kernel(ours, theirs, options, scale, name)

    def _moved(self, ours: Op, theirs: Op, options: Any, name: str) -> Stage:
        """Integers that are only moved, all of one scale: the comparison is exact."""
        taken = [index for index in ours.inputs if not self.file.is_constant(index)]
        scales = {self.pairing.scale(index) for index in (*taken, *ours.outputs)}
        given = [self._arrays[index] for index in ours.outputs]
        shapes = [one.shape for one in given]
        exact = arithmetic.move(theirs.name, [self._arrays[index] for index in taken], shapes, options)
        own, expected = (np.concatenate([one.reshape(-1) for one in side]) for side in (given, exact))
        bound = np.zeros(1) if len(scales) == 1 else -np.ones(1)
        return stage_of(name, theirs.name, own.astype(np.float64), expected.astype(np.float64), bound)

    def _with_kernel(self, ours: Op, theirs: Op, options: Any, scale: Scale | None, name: str) -> Stage:
        steps, bits = self._steps(ours.inputs[KERNEL])
        factors = self.pairing.factors(ours)
        weights = self.floats.constant(theirs.inputs[KERNEL]).astype(np.float64) / factors
        halves = np.broadcast_to(steps.reshape(-1, *[1] * (weights.ndim - 1)) / 2, weights.shape)
        taken = self.of(ours.inputs[0])
        has_bias = len(theirs.inputs) > BIAS and theirs.inputs[BIAS] >= 0
        bias = self.floats.constant(theirs.inputs[BIAS]).astype(np.float64) if has_bias else 0.0
        exact = arithmetic.weighted(theirs.name, taken, weights, options) + bias
        bound = arithmetic.weighted(theirs.name, np.abs(taken), halves, options)
        magnitude = arithmetic.weighted(theirs.name, np.abs(taken), np.abs(weights), options) + np.abs(bias)
        exact, given = arithmetic.activated(exact, options), self.of(ours.outputs[0])
        if scale is None:
            bound = bound * (1 + FIXED_POINT) + (weights[0].size + SPARE) * UNIT * magnitude
        else:
            own = self.pairing.scale(ours.inputs[0])
            bias_step = own.scale * steps if own is not None else 0.0
            bound = bound + bias_step / 2 + OUTPUT_STEPS * scale.scale + FIXED_POINT * magnitude
            exact = np.clip(exact, *scale.ends)
        found = stage_of(name, theirs.name, given, exact.reshape(given.shape), bound.reshape(given.shape))
        is_equalized = np.ndim(factors) > 0
        return dataclasses.replace(found, bits=bits, is_integer=scale is not None, is_equalized=is_equalized)

    def _steps(self, kernel: int) -> tuple[np.ndarray, int]:
        """The step of the weights of each output channel, and their bits."""
        sources = {op.outputs[0]: op.inputs[0] for op in self.file.ops if op.name == "DEQUANTIZE"}
        tensor = self.file.graph.tensors[sources.get(kernel, kernel)]
        return np.asarray(tensor.quantization.scale, np.float64), 4 if TYPE_NAMES[
            tensor.type
        ] == "INT4" else 8
