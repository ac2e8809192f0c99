"""Measuring a trained network on held-out images."""

import dataclasses
from pathlib import Path

import numpy as np

from bnn_keras import data
from bnn_keras.nn import memory
from bnn_keras.runs.calibration import Calibration, calibration
from bnn_keras.runs.prediction import BATCH, TOP, probabilities
from bnn_keras.runs.trained import TrainedNetwork

TOP5_CLASSES = 10  # with fewer classes, top-5 accuracy says little


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a network reaches on held-out images.

    Args:
        path: of the file that holds the network.
        dataset: its name.
        tested: what its images are, such as "held-out images".
        class_names: by label.
        top1, top5: accuracies, as shares of the images; top5 is None for fewer than ten classes.
        confusion: number of images by class, int64 [true, predicted].
        calibration: how far its probabilities are from the shares of images that are right.
        right: whether the likeliest class is the true one, bool [images], in the order of the data set.
    """

    path: Path
    dataset: str
    tested: str
    class_names: tuple[str, ...]
    top1: float
    top5: float | None
    confusion: np.ndarray
    calibration: Calibration
    right: np.ndarray

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def recall(self) -> np.ndarray:
        """Accuracy by class: of its images, the share that is right, [classes]; nan if it has none."""
        return _shares(np.diagonal(self.confusion), self.confusion.sum(axis=1))

    @property
    def precision(self) -> np.ndarray:
        """Of the images that are taken for a class, the share that is right, [classes]; nan for none."""
        return _shares(np.diagonal(self.confusion), self.confusion.sum(axis=0))


def _shares(parts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    return np.divide(parts, totals, out=np.full(len(parts), np.nan), where=totals > 0)


def evaluate(
    network: TrainedNetwork,
    dataset: data.Dataset | None = None,
    batch_size: int = BATCH,
    limit: int | None = None,
) -> Evaluation:
    """Classify the held-out images of a data set, and count what is right.

    Args:
        network: of `bnn_keras.load`.
        dataset: with as many classes as the network; None is the one that it was trained on.
        batch_size: images at a time.
        limit: use no more images than this; None for all.

    Returns:
        Top-1 and top-5 accuracy, the confusion matrix with precision and recall of each class, and the
        calibration.

    Raises:
        UserError: the network is no classifier, or the data set is unknown, not there or has other classes.

    Example:
        >>> import bnn_keras
        >>> result = bnn_keras.evaluate(bnn_keras.load("runs/small"), limit=100)
        >>> result.images, result.confusion.shape, result.recall.shape
        (100, (10, 10), (10,))
        >>> 0 <= result.calibration.error <= 1
        True
    """
    network.check_classifier()
    dataset = dataset or network.dataset()
    if network.model is not None:
        memory.check_batch(network.model, min(batch_size, limit or batch_size, dataset.num_test))
    confusion = np.zeros((network.classes, network.classes), np.int64)
    among_top = 0
    right, confidence = [], []
    with dataset.decoding():
        for images, labels in dataset.test(batch_size, limit).as_numpy_iterator():
            logits = network.logits(images)
            ranking = np.argsort(-logits, axis=-1, kind="stable")
            np.add.at(confusion, (labels, ranking[:, 0]), 1)
            among_top += int((ranking[:, :TOP] == labels[:, None]).sum())
            right.append(ranking[:, 0] == labels)
            confidence.append(np.take_along_axis(probabilities(logits), ranking[:, :1], axis=-1)[:, 0])
    total = confusion.sum()
    is_right = np.concatenate(right)
    return Evaluation(
        path=network.path,
        dataset=dataset.name,
        tested=dataset.tested,
        class_names=dataset.class_names,
        top1=float(np.trace(confusion) / total),
        top5=float(among_top / total) if network.classes >= TOP5_CLASSES else None,
        confusion=confusion,
        calibration=calibration(np.concatenate(confidence), is_right),
        right=is_right,
    )
