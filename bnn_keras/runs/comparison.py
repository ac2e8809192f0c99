"""Whether two networks differ in accuracy, or only by chance."""

import dataclasses

import numpy as np
from scipy import stats

from bnn_keras import data
from bnn_keras.data import imagenet
from bnn_keras.errors import UserError
from bnn_keras.runs.evaluation import Evaluation, evaluate
from bnn_keras.runs.prediction import BATCH
from bnn_keras.runs.trained import TrainedNetwork

LEVEL = 0.05  # of significance


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two networks on the same held-out images.

    Args:
        first, second: what each of them reaches.
    """

    first: Evaluation
    second: Evaluation

    @property
    def only_first(self) -> int:
        """Number of images that only the first network classifies right."""
        return int(np.sum(self.first.right & ~self.second.right))

    @property
    def only_second(self) -> int:
        """Number of images that only the second network classifies right."""
        return int(np.sum(self.second.right & ~self.first.right))

    @property
    def p_value(self) -> float:
        """Of McNemar's test, see `mcnemar`."""
        return mcnemar(self.only_first, self.only_second)

    @property
    def is_significant(self) -> bool:
        """Whether the networks differ in accuracy, at the level of 5 %."""
        return self.p_value < LEVEL


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's test in its exact form, for any number of images.

    If two networks are equally good, each image that only one of them classifies right is as likely that
    of the first as that of the second (McNemar, "Note on the sampling error of the difference between
    correlated proportions or percentages", 1947).

    Args:
        only_first, only_second: numbers of images that only one of the networks classifies right.

    Returns:
        The probability, two-sided, that two equally good networks differ at least this much.
    """
    discordant = only_first + only_second
    return float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0


def compare(
    network: TrainedNetwork,
    other: TrainedNetwork,
    dataset: data.Dataset | None = None,
    batch_size: int = BATCH,
    limit: int | None = None,
) -> Comparison:
    """Measure two networks on the same held-out images, each as its own recipe resizes and crops them.

    Args:
        network, other: of `bnn_keras.load`, with the same classes and image size.
        dataset: with as many classes; None is the one that `network` was trained on.
        batch_size: images at a time.
        limit: use no more images than this; None for all.

    Raises:
        UserError: the networks have different classes or image sizes, or as `evaluate` does.

    Example:
        >>> import bnn_keras
        >>> best, last = bnn_keras.load("runs/small", "best"), bnn_keras.load("runs/small", "last")
        >>> comparison = bnn_keras.compare(best, last, limit=100)
        >>> comparison.second.images, 0 <= comparison.p_value <= 1
        (100, True)
    """
    check_comparable(network, other)
    dataset = dataset or network.dataset()
    first, second = (evaluate(one, one.prepared(dataset), batch_size, limit) for one in (network, other))
    return Comparison(first, second)


def check_comparable(network: TrainedNetwork, other: TrainedNetwork) -> None:
    """Check that two networks answer the same question.

    Raises:
        UserError: they have different classes or image sizes.
    """
    valid = "valid are two networks with the same classes and image size"
    for what, number, other_number in (
        ("classes", network.classes, other.classes),
        ("pixels an edge", network.image_size, other.image_size),
    ):
        if number != other_number:
            raise UserError(f"{network.path} has {number} {what}, {other.path} has {other_number}: {valid}.")
    names, other_names = (imagenet.in_words(one.class_names or ()) for one in (network, other))
    for name, other_name in zip(names, other_names, strict=False):
        if name != other_name:
            raise UserError(
                f"{network.path} has the class {name!r} where {other.path} has {other_name!r}: {valid}."
            )
