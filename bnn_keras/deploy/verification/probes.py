"""Inputs of every stage that excite every weight.

A weight that only multiplies zeros on all images that are compared could be wrong unseen: those after a
ReLU whose unit is always off, for example. So the stages are also compared at random inputs. The file is
cut at all taps, so that each stage takes its inputs as inputs of the file, and no stage depends on what an
earlier one lets through.

This covers constants of all kinds, options and the order of inputs by their effect, without knowing how the
converter folded them. A long sum could still hide a small weight behind the rounding that many large terms
allow. So in each pixel of a probe only one of several groups of channels is loud, and each group is loud in
at least `REPEATS` pixels: then each weight is one of few loud terms in several sums. A stage whose inputs
have few pixels, such as a dense layer, gets more probes instead.

A threshold before a sign changes nothing but the signs of the values between the right one and the wrong
one. So in some pixels of a probe every value lies close to a threshold of the file, at either side: if it
is not the model's, the model gives both the same sign.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bnn_keras.deploy.verification.regions import Regions
from bnn_keras.tflite.flatbuffer import Flatbuffer
from bnn_keras.tflite.interpreter import Interpreter

REPEATS = 16
QUIET = 1e-3  # of the tensor's spread
LOUDNESS = (-2, 4)  # powers of 2, times the tensor's spread: from far below a saturation to beyond it
LARGEST = 2.0**20  # spread: untrained networks may have values that overflow if they grow further
FEW_PIXELS = 16
PROBES, PROBES_OF_FEW_PIXELS = 2, 64
AT_THRESHOLDS = 4  # every so many-th pixel
DISTANCE = (-14, -3)  # powers of 2, times the threshold: from within rounding to an eighth


def stages(regions: Regions) -> list[tuple[int, set[int]]]:
    """The numbers of probes, and the taps of the stages that get so many."""
    by_number: dict[int, set[int]] = {PROBES: set(), PROBES_OF_FEW_PIXELS: set()}
    for tap in {tensor for op in regions.ops for tensor in op.outputs}.intersection(regions.tensors.values()):
        pixels = [math.prod(regions.file.shape(taken)[1:-1]) for taken in regions.taken_for(tap)]
        by_number[PROBES_OF_FEW_PIXELS if max(pixels, default=0) <= FEW_PIXELS else PROBES].add(tap)
    return [(number, taps) for number, taps in by_number.items() if taps]


def run_stages(
    flatbuffer: bytes,
    regions: Regions,
    seen: Mapping[int, np.ndarray],
    number: int,
    taps: set[int],
    kernels: str,
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Run stages of a file by themselves on random values.

    Args:
        flatbuffer: the bytes of the file.
        regions: of the model and the file.
        seen: the values of every tap for images, [n, ...] by tensor. Signs stay signs.
        number: of the probes.
        taps: the tensors at the ends of the stages.
        kernels: that run it, see `bnn_keras.tflite.interpreter.Interpreter`.

    Returns:
        The values that the stages take and those that they give, float32 [number, ...] by tensor.
    """
    file = Flatbuffer(flatbuffer)
    taken, returned = file.cut(set(regions.tensors.values()), regions.ops_to(taps))
    rng = np.random.default_rng(0)
    given = {tensor: _draw((number, *seen[tensor].shape[1:]), seen[tensor], rng) for tensor in taken}
    for tensor, thresholds in _thresholds(regions, taps).items():
        _put_at(given[tensor], thresholds, rng)
    stages = Interpreter(file.pack(), threads=1, is_checked=True, kernels=kernels)
    found = dict(zip(returned, stages.predict_all(list(given.values())), strict=True))
    return given, {tensor: found[tensor] for tensor in taps}


def _draw(shape: tuple[int, ...], seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if seen.dtype == np.uint8:  # the image
        return rng.integers(0, 256, shape, np.uint8)
    channels, pixels = shape[-1], math.prod(shape[:-1])
    signs = rng.choice([-1, 1], (pixels, channels))
    finite = seen[np.isfinite(seen)]  # values that are too large for float32 are refused elsewhere
    values = finite if finite.size else np.ones(1)
    magnitudes = np.abs(values)
    if magnitudes.min() == magnitudes.max() > 0:
        size: Any = magnitudes.max()
    else:
        groups = max(1, min(channels, pixels // REPEATS))
        is_loud = (rng.permutation(pixels) % groups)[:, None] == rng.permutation(channels) % groups
        size = np.where(is_loud, 2 ** rng.uniform(*LOUDNESS, is_loud.shape), QUIET)
        size = size * (min(values.std(dtype=np.float64), LARGEST) or 1)
    return (signs * size).reshape(shape).astype(np.float32)


def _thresholds(regions: Regions, taps: set[int]) -> dict[int, np.ndarray]:
    """The values where constants that are added right away change the sign, [n, channels] by tensor."""
    found: dict[int, list[np.ndarray]] = {}
    tensors = set(regions.tensors.values())
    for number in regions.ops_to(taps):
        op = regions.ops[number]
        if op.name != "ADD" or op.outputs[0] in tensors:
            continue
        for taken, constant in (op.inputs, op.inputs[::-1]):
            if taken in tensors and regions.file.is_constant(constant):
                added, channels = regions.file.constant(constant), regions.file.shape(taken)[-1]
                if added.size in (1, channels):
                    found.setdefault(taken, []).append(np.broadcast_to(-added.ravel(), channels))
    return {taken: np.stack(values) for taken, values in found.items()}


def _put_at(values: np.ndarray, thresholds: np.ndarray, rng: np.random.Generator) -> None:
    """Replace the values of some pixels by others close to thresholds, in place."""
    pixels = values.reshape(-1, values.shape[-1])[::AT_THRESHOLDS]
    near = thresholds[rng.integers(len(thresholds), size=len(pixels))]
    distance = rng.choice([-1, 1], near.shape) * 2 ** rng.uniform(*DISTANCE, near.shape)
    pixels[...] = near + distance * np.maximum(np.abs(near), QUIET * values.std())
