"""An operation with integers, and how far it lies from the same one in floats."""

import dataclasses

import numpy as np

SMALLEST = 1e-30


@dataclasses.dataclass(frozen=True)
class Stage:
    """An operation with integers, compared with the same one in floats.

    Args:
        name: of the layer whose kernel it has, or of what it computes.
        kind: in TFLite.
        bits: of its weights; None without a kernel.
        is_integer: whether it computes with integers; otherwise its weights alone are rounded.
        difference: the largest one.
        ratio: the largest difference / bound; above 1 the file is wrong.
        cut: of QUANTIZE, the share of the values that lie outside of the calibrated range.
        is_equalized: whether the channels of what it takes were multiplied by constants before.
    """

    name: str
    kind: str
    bits: int | None
    is_integer: bool
    difference: float
    ratio: float
    cut: float = 0.0
    is_equalized: bool = False

    @property
    def problem(self) -> str:
        """What is wrong, in words; "" if nothing is."""
        if self.ratio <= 1:
            return ""
        return (
            f"{self.name}: the operation {self.kind} differs by up to {self.difference:.3g}, "
            f"{self.ratio:.3g} times what its scales explain"
        )


def stage_of(name: str, kind: str, given: np.ndarray, exact: np.ndarray, bound: np.ndarray) -> Stage:
    """The comparison of values; a bound below 0 refuses them all."""
    difference = np.abs(given - exact)
    difference[~np.isfinite(difference)] = np.inf
    ratio = np.where(bound < 0, np.inf, difference / np.maximum(bound, SMALLEST))
    return Stage(name, kind, None, True, float(difference.max()), float(ratio.max()))
