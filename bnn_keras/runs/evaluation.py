"""Measuring a trained network on held-out images, and asking it for the classes of images."""

import dataclasses

import numpy as np

from bnn_keras import data
from bnn_keras.nn import memory
from bnn_keras.runs.trained import TrainedNetwork

TOP = 5
TOP5_CLASSES = 10  # with fewer classes, top-5 accuracy says little


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a network reaches on held-out images.

    Args:
        top1, top5: accuracies, as shares of the images; top5 is None for fewer than ten classes.
        confusion: number of images by class, int64 [true, predicted].
    """

    top1: float
    top5: float | None
    confusion: np.ndarray

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())


def evaluate(
    network: TrainedNetwork,
    dataset: data.Dataset | None = None,
    batch_size: int = 32,
    limit: int | None = None,
) -> Evaluation:
    """Classify the held-out images of a data set, and count what is right.

    Args:
        network: of `bnn_keras.load`.
        dataset: with as many classes as the network; None is the one that it was trained on.
        batch_size: images at a time.
        limit: use no more images than this; None for all.

    Returns:
        Top-1 and top-5 accuracy and the confusion matrix.

    Raises:
        UserError: the data set is unknown or not there, or has other classes.

    Example:
        >>> import bnn_keras
        >>> result = bnn_keras.evaluate(bnn_keras.load("runs/small"), limit=100)
        >>> result.images, result.confusion.shape
        (100, (10, 10))
    """
    dataset = dataset or network.dataset()
    if network.model is not None:
        memory.check_batch(network.model, min(batch_size, limit or batch_size, dataset.num_test))
    confusion = np.zeros((network.classes, network.classes), np.int64)
    among_top = 0
    for images, labels in dataset.test(batch_size, limit).as_numpy_iterator():
        ranking = np.argsort(-network.logits(images), axis=-1, kind="stable")
        np.add.at(confusion, (labels, ranking[:, 0]), 1)
        among_top += int((ranking[:, :TOP] == labels[:, None]).sum())
    total = confusion.sum()
    return Evaluation(
        top1=float(np.trace(confusion) / total),
        top5=float(among_top / total) if network.classes >= TOP5_CLASSES else None,
        confusion=confusion,
    )


def predict(network: TrainedNetwork, images: np.ndarray, top: int = TOP) -> list[list[tuple[str, float]]]:
    """Name the likeliest classes of images.

    Args:
        network: of `bnn_keras.load`. Without class names its classes are called by their numbers.
        images: RGB in [0, 255], float32 [batch, height, width, 3]; `network.read_image` reads one.
        top: classes of an image.

    Returns:
        For each image pairs of class name and probability, the likeliest class first.

    Example:
        >>> import bnn_keras
        >>> from bnn_keras import data
        >>> network = bnn_keras.load("runs/small")
        >>> images, labels = next(data.open("digits").test(4).as_numpy_iterator())
        >>> answers = bnn_keras.predict(network, images, top=3)
        >>> len(answers), len(answers[0])
        (4, 3)
    """
    names = network.class_names or tuple(map(str, range(network.classes)))
    rows = probabilities(network.logits(images))
    ranking = np.argsort(-rows, axis=-1, kind="stable")[:, :top]
    return [[(names[k], float(row[k])) for k in ranked] for row, ranked in zip(rows, ranking, strict=True)]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits; rows that already are distributions stay as they are.

    Args:
        logits: [batch, classes].
    """
    if np.all(logits >= 0) and np.allclose(logits.sum(axis=-1), 1, atol=1e-3):
        return logits
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
