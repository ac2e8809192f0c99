"""The images on which a file and its model are compared."""

import dataclasses

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_sample_images

from bnn_keras import data
from bnn_keras.data import imagenet
from bnn_keras.deploy.bundle.source import Source
from bnn_keras.errors import UserError

SAMPLES = "samples"  # scikit-learn's two photographs, cut into pieces: for models without a data set
SAMPLE_IMAGES = 32


@dataclasses.dataclass(frozen=True)
class Compared:
    """The images on which a file and its model are compared.

    Args:
        images: float32 [n, height, width, 3].
        labels: [n], their classes; None if they are not known.
        dataset: the name of their data set.
    """

    images: np.ndarray
    labels: np.ndarray | None
    dataset: str

    def turned(self) -> "Compared":
        """The same images upside down."""
        return dataclasses.replace(self, images=self.images[:, ::-1, ::-1])


def open(source: Source, dataset: str | None, data_dir: str | None, limit: int) -> Compared:
    """Real images to compare on, and where they are from.

    Args:
        source: of the model.
        dataset, data_dir: as for training; None takes the run's own.
        limit: the largest number of images.

    Raises:
        UserError: the data set is absent, or its images do not fit the model.
    """
    height, width = source.model.input_shape[1:3]
    network, known = source.network, source.network.trained_on
    dataset = dataset or known.dataset or SAMPLES
    if dataset == SAMPLES:
        number = min(limit, SAMPLE_IMAGES)
        return Compared(samples(height, width, number), None, "scikit-learn's sample photographs")
    if height != width:
        raise UserError(
            f"{dataset} has square images; the model takes {height} x {width}: use --dataset={SAMPLES}."
        )
    own = data.same(dataset, known.dataset)
    part = "all" if dataset.startswith(data.FOLDER) and not own else None
    opened = data.open(dataset, data_dir or known.data_dir, height, augmentation=network.evaluated, part=part)
    found = network.prepared(opened)
    with found.decoding():
        batches = [(images.numpy(), labels.numpy()) for images, labels in found.test(32, limit=limit)]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Compared(images, _numbered(labels, found.class_names, source), dataset)


def _numbered(labels: np.ndarray, class_names: tuple[str, ...], source: Source) -> np.ndarray | None:
    """The labels as the model's outputs, by the names of the classes if they are known; or None."""
    names = source.network.class_names
    if not names:
        return labels if len(class_names) == source.model.output_shape[-1] else None
    names, class_names = imagenet.in_words(names), imagenet.in_words(class_names)
    if not set(class_names) <= set(names):
        return None
    return np.array([names.index(name) for name in class_names])[labels]


def samples(height: int, width: int, number: int = SAMPLE_IMAGES) -> np.ndarray:
    """Pieces of scikit-learn's two photographs, at random places, half of them scaled down."""
    rng = np.random.default_rng(0)
    photographs = load_sample_images().images
    pieces = []
    for i in range(number):
        photograph = photographs[i % 2]
        edge = min(photograph.shape[:2]) if i % 4 > 1 else min(height, width, *photograph.shape[:2])
        top, left = (rng.integers(0, n - edge + 1) for n in photograph.shape[:2])
        piece = photograph[top : top + edge, left : left + edge]
        pieces.append(tf.image.resize(piece, (height, width)).numpy())
    return np.stack(pieces).astype(np.float32)
