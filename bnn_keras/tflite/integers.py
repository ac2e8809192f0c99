"""The integers of a TFLite file in 8 bits, and the values that they stand for.

A value is scale * (integer - zero). TFLite's specification: activations have one scale and zero, kernels a
scale for each output channel and zero 0, biases the product of both scales.
"""

import dataclasses

import numpy as np

LOW, HIGH = -128, 127  # of an activation
# The largest integer of a weight by its bits, and of a bias, which leaves room for the sum.
WEIGHT = {8: 127, 4: 7}
LARGEST_BIAS = 2**30


@dataclasses.dataclass(frozen=True)
class Scale:
    """The scale and zero of an activation."""

    scale: float
    zero: int

    @classmethod
    def of_range(cls, low: float, high: float) -> "Scale":
        """The scale that spans a range, and 0, which is an integer then."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = float(np.float32((high - low) / (HIGH - LOW))) or 1.0
        return cls(scale, int(np.clip(round(LOW - low / scale), LOW, HIGH)))

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return self.scale * (LOW - self.zero), self.scale * (HIGH - self.zero)

    def values(self, integers: np.ndarray) -> np.ndarray:
        """The values that integers stand for, in float64."""
        return self.scale * (integers.astype(np.float64) - self.zero)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel in integers, [output channels, ...].

    Args:
        integers: of the weights.
        scales: float32, one for each output channel.
        bits: of each weight.
    """

    integers: np.ndarray
    scales: np.ndarray
    bits: int

    @classmethod
    def of(cls, weights: np.ndarray, bits: int, least: np.ndarray | float = 0.0) -> "Kernel":
        """Round weights to integers that are symmetric around 0.

        Args:
            weights: [output channels, ...].
            bits: 8 or 4.
            least: the smallest scale of each channel.
        """
        largest = np.abs(weights).reshape(len(weights), -1).max(1) / WEIGHT[bits]
        scales = np.maximum(np.where(largest > 0, largest, 1.0), least).astype(np.float32)
        scales = np.maximum(scales, np.finfo(np.float32).tiny)
        steps = weights / scales.reshape(-1, *[1] * (weights.ndim - 1))
        integers = np.clip(np.rint(steps), -WEIGHT[bits], WEIGHT[bits]).astype(np.int8)
        return cls(integers, scales, bits)

    @property
    def values(self) -> np.ndarray:
        """The weights that the integers stand for, in float64."""
        shape = (-1, *[1] * (self.integers.ndim - 1))
        return self.integers.astype(np.float64) * self.scales.astype(np.float64).reshape(shape)

    @property
    def packed(self) -> bytes:
        """The bytes of the integers; two of 4 bits in a byte, the first one in its lower half."""
        if self.bits == 8:
            return self.integers.tobytes()
        halves = self.integers.reshape(-1).view(np.uint8) & 15
        halves = np.append(halves, np.zeros(len(halves) % 2, np.uint8))
        return (halves[0::2] | halves[1::2] << 4).tobytes()
