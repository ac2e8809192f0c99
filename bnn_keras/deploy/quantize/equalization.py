"""Channels of an input that are brought to like ranges before they share one scale.

An activation in integers has one scale for all its channels, and an output channel of a kernel one for all
its weights. In a rewritten file the scale of a BatchNorm is a part of the convolution that follows: its input
then holds sums of signs, up to some hundreds, beside features of about 1, and the weights of the former are
as much smaller. One step of such an input is more than the whole range of a small channel, and the weights
of a large one become 0.

So a channel with the largest value r and the largest weight m is multiplied by s = sqrt(m / r), and its
weights are divided by it: both then have the range sqrt(m r), as in Nagel et al. 2019, "Data-Free
Quantization Through Weight Equalization and Bias Correction", section 4.1, which equalizes two kernels. Here
s is a power of two: no product changes by a bit, and in floats the file would compute what it did. It costs a
multiplication for each value of the input, so it is done only where channels differ much: where rounding is
several times as coarse, in relation to the sums, as with channels of like ranges.
"""

from collections.abc import Mapping

import numpy as np

from bnn_keras.deploy.quantize.calibration import Range
from bnn_keras.deploy.quantize.chains import Chains
from bnn_keras.tflite.flatbuffer import KERNEL
from bnn_keras.tflite.int8 import Equalization
from bnn_keras.tflite.integers import Scale

LEAST = 4.0  # times as coarse; two bits


def equalizations(chains: Chains, ranges: Mapping[int, Range]) -> dict[int, Equalization]:
    """The operations at the start of chains whose input is to be equalized, by number.

    Args:
        chains: of the file in float.
        ranges: of the channels of each activation.
    """
    found = {}
    for number in sorted(chains.kernels):
        (taken,) = chains.taken(number)
        if chains.is_made_in_chain(taken):
            continue
        kernel = chains.file.constant(chains.ops[number].inputs[KERNEL]).astype(np.float64)
        own = ranges[taken]
        if kernel.shape[-1] != len(own.low):
            continue  # groups, or a dense layer that takes a feature map
        weights = np.abs(kernel).reshape(-1, len(own.low)).max(0)
        if coarseness(weights, own.largest) >= LEAST:
            factors = factors_of(weights, own.largest)
            ends = own.low * factors, own.high * factors
            scale = Scale.of_range(float(ends[0].min()), float(ends[1].max()))
            found[number] = Equalization(factors, scale)
    return found


def coarseness(weights: np.ndarray, values: np.ndarray) -> float:
    """How many times as large the error of rounding is, in relation to the sums, as with like channels.

    The steps of weights follow from the largest one of all channels, and act on each channel's values; those
    of values act on its weights.

    Args:
        weights, values: [channels], the largest magnitudes.
    """
    sums = np.linalg.norm(weights * values)
    if sums == 0:
        return 1.0
    of_weights, of_values = (a.max() * np.linalg.norm(b) for a, b in ((weights, values), (values, weights)))
    return float(max(of_weights, of_values) / sums)


def factors_of(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The factor of each channel, a power of two.

    Args:
        weights, values: [channels], the largest magnitudes.
    """
    is_used = (weights > 0) & (values > 0)
    if not is_used.any():
        return np.ones(len(weights))
    exact = np.sqrt(weights[is_used] / values[is_used])
    # What is always 0, or has no weights, gives nothing: its factor is one that others have.
    factors = np.full(len(weights), exact.min())
    factors[is_used] = exact
    return 2.0 ** np.rint(np.log2(factors))
