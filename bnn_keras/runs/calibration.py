"""Whether the probabilities of a network can be taken literally."""

import dataclasses

import numpy as np

BINS = 15


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far the probabilities of the predicted classes are from the shares of images that are right.

    The images are put into bins of equal width by the probability of the predicted class. Of n bins, the
    i-th, counted from 0, holds probabilities above i / n, up to (i + 1) / n (Guo et al., "On calibration of
    modern neural networks", 2017, section 2).

    Args:
        images: number by bin, int64 [bins].
        confidence: mean probability of the predicted class by bin, [bins]; nan in an empty bin.
        accuracy: share of the images that are right by bin, [bins]; nan in an empty bin.
    """

    images: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of confidence and accuracy, by image."""
        filled = self.images > 0
        distances = np.abs(self.confidence - self.accuracy)[filled]
        return float(np.average(distances, weights=self.images[filled]))


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Calibration:
    """Compare probabilities with what came true.

    Args:
        confidence: probability of the predicted class by image, [images].
        right: whether the predicted class is the true one, bool [images].
        bins: how many.
    """
    confidence = confidence.astype(np.float64)
    chosen = np.digitize(confidence, np.arange(1, bins) / bins, right=True)
    images = np.bincount(chosen, minlength=bins)
    sums = [np.bincount(chosen, weights=values, minlength=bins) for values in (confidence, right)]
    means = [np.divide(total, images, out=np.full(bins, np.nan), where=images > 0) for total in sums]
    return Calibration(images, *means)
