"""How far an operation in integers may lie from the same one in floats.

The float file is compared with the model in float64 (`bnn_keras.deploy.verification`). Here each operation
with integers is compared with that of the float file, in float64, on the input that it had:

- QUANTIZE gives the nearest step: what it gives differs by at most half a step s_x from what it takes, after
  this was cut at the ends of the scale.
- An integer convolution or dense layer computes the sum of x * w + b exactly for its integers. In an output
  channel whose weights have the step s_w, each weight is at most s_w / 2 from that of the float file, and
  the bias, whose step is s_x s_w, at most half of that. The result is rounded to a step s_y of the output.
  TFLite's kernels round it twice: first at 2^-k of a step with k >= 1, or once; that is at most 3/4 of a
  step in all. So

      |y - y_float| <= s_w / 2 * sum |x| + s_x s_w / 2 + 3/4 s_y

  where x is the input of the file itself. Together with QUANTIZE the term s_x / 2 * sum |w| comes in.
- Before a convolution the channels of its input may be multiplied by constants, exactly, and its weights are
  those of the float file divided by the same constants (`bnn_keras.deploy.quantize.equalization`): w and x
  above are these.
- With rounded weights alone there is the first of these terms, and the rounding of the float sum.
- Poolings, joining and splitting move integers, and are exact; so is DEQUANTIZE but for float
  roundings: XNNPACK computes scale * integer - scale * zero, and rounds these terms too.

A value outside of the calibrated range is cut. That is no rounding: both sides are cut, and the share is
reported.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from bnn_keras.deploy.quantize.pairing import BETWEEN, Pairing
from bnn_keras.deploy.quantize.stage import Stage
from bnn_keras.deploy.quantize.values import Values
from bnn_keras.tflite.flatbuffer import Flatbuffer
from bnn_keras.tflite.interpreter import kernels_of


def compare(
    flatbuffer: bytes, floats: Flatbuffer, images: np.ndarray, layers: Mapping[int, str]
) -> tuple[list[Stage], list[str]]:
    """Compare every operation of a file in integers with its float file.

    Args:
        flatbuffer: the bytes of the file in integers.
        floats: the float file, which was compared with the model.
        images: float32 [n, height, width, channels], real ones.
        layers: whose kernels operations of the float file have, by number.

    Returns:
        The operations with integers, and what is wrong, in words.
    """
    file = Flatbuffer(flatbuffer)
    pairing = Pairing(file, floats)
    if pairing.problems:
        return [], pairing.problems
    # A portable file has two sets of kernels that may run it.
    of_kernels = [_stages(Values(pairing, flatbuffer, images, one), layers) for one in kernels_of(file)]
    stages = [max(each, key=lambda stage: stage.ratio) for each in zip(*of_kernels, strict=True)]
    return stages, [stage.problem for stage in stages if stage.problem]


def _stages(values: Values, layers: Mapping[int, str]) -> list[Stage]:
    """The operations with integers, as one interpreter computes them."""
    pairing, file, floats = values.pairing, values.file, values.floats
    stages = [
        values.between(op) for op in file.ops if op.name in BETWEEN and not file.is_constant(op.inputs[0])
    ]
    stages += [values.multiplied(op) for op in file.ops if pairing.is_added(op)]
    for ours, theirs in pairing.pairs:
        stage = values.changed(file.ops[ours], floats.ops[theirs], floats.graph.operators[theirs])
        if stage is not None:
            stages.append(dataclasses.replace(stage, name=layers.get(theirs, stage.name)))
    return stages
