"""Whether the sums of signs in a file for TFLite's own kernels are exact.

Each binary convolution of the file is computed again, as whole numbers, from the values that it took in the
interpreter. Its output is these numbers times a scale, plus a bias, and rounded. It shows an exact sum if it
is nearer to the right number than to any other one.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.portable.steps import TOP
from bnn_keras.tflite.flatbuffer import KERNEL, Flatbuffer
from bnn_keras.tflite.interpreter import Interpreter
from bnn_keras.tflite.interpreter_process import LITERT, LITERT_PLAIN

NAMES = {LITERT: "LiteRT with XNNPACK", LITERT_PLAIN: "LiteRT without XNNPACK"}
PADDINGS = ("SAME", "VALID")  # in the order of TFLite's schema


@dataclasses.dataclass(frozen=True)
class Sums:
    """The sums of signs of all binary convolutions.

    Args:
        number: how many were compared; with several kernels, all of them together.
        wrong: how many of these are not exact, or have inputs that are no signs.
        kernels: the kernels that computed them.
    """

    number: int
    wrong: int
    kernels: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """How it came out, in words."""
        names = " and ".join(NAMES[one] for one in self.kernels)
        exact = self.number - self.wrong
        return f"sums of signs: {exact:,} of {self.number:,} are exact, computed by {names}"

    @property
    def problem(self) -> str:
        """What is wrong, in words."""
        return f"{self.wrong:,} of {self.number:,} sums of signs are not exact"


def count(
    file: Flatbuffer, numbers: Iterable[int | None], images: np.ndarray, kernels: Sequence[str]
) -> Sums:
    """Compare the sums of binary convolutions with exact ones.

    Args:
        file: with the convolutions.
        numbers: theirs, among the operations of the file; None is left out.
        images: float32 [n, height, width, channels].
        kernels: see `bnn_keras.tflite.interpreter.Interpreter`.
    """
    found = sorted({number for number in numbers if number is not None})
    tensors = [
        index for number in found for index in (file.ops[number].inputs[0], file.ops[number].outputs[0])
    ]
    if not tensors:
        return Sums(0, 0, tuple(kernels))
    content = file.returning(list(dict.fromkeys(tensors)))
    compared = wrong = 0
    for one in kernels:
        interpreter = Interpreter(content, is_checked=True, kernels=one)
        values = dict(zip(dict.fromkeys(tensors), interpreter.predict_all([images]), strict=True))
        for number in found:
            op = file.ops[number]
            differs = _differ(file, number, values[op.inputs[0]], values[op.outputs[0]])
            compared, wrong = compared + differs.size, wrong + int(differs.sum())
    return Sums(compared, wrong, tuple(kernels))


def _differ(file: Flatbuffer, number: int, steps: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Which outputs of a convolution do not show the exact sum, booleans [n, height, width, channels]."""
    op, options = file.ops[number], file.graph.operators[number].builtinOptions
    kernel = np.moveaxis(file.constant(op.inputs[KERNEL]).astype(np.float64), 0, -1)
    exact = _convolve((steps == TOP).astype(np.float64), kernel, options)
    unit = TOP * np.asarray(file.scales(op.inputs[KERNEL]), np.float64)
    bias = file.constant(op.inputs[2]).astype(np.float64) if len(op.inputs) > 2 else 0.0
    shown = (outputs - bias) / unit
    is_clipped = (outputs == 0) & (exact * unit + bias <= 0) if options.fusedActivationFunction else False
    no_sign = ~np.isin(steps, (0, TOP))
    unknown = _convolve(no_sign.astype(np.float64), np.ones_like(kernel), options) > 0
    return ((np.abs(shown - exact) >= 0.5) & ~np.asarray(is_clipped)) | unknown


def _convolve(image: np.ndarray, kernel: np.ndarray, options: Any) -> np.ndarray:
    strides = (options.strideH, options.strideW)
    dilations = (options.dilationHFactor, options.dilationWFactor)
    padding = PADDINGS[options.padding]
    return tf.nn.conv2d(image, kernel, strides, padding, dilations=dilations).numpy()
