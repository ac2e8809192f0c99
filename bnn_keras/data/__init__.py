"""Labelled images for training and evaluation, by the names that --dataset takes.

dataset = data.open("cifar10", data_dir="~/tensorflow_datasets")
model.fit(dataset.train(batch_size=64, epoch=0, seed=1))
"""

import os

import numpy as np
import tensorflow as tf

from bnn_keras import files
from bnn_keras.data.augment.transforms import evaluation_transform
from bnn_keras.data.dataset import Dataset, default_edge
from bnn_keras.data.sources.digits import Digits
from bnn_keras.data.sources.folder import Folder
from bnn_keras.data.sources.source import Source
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import EDGE, Augmentation
from bnn_keras.settings.kinds import Optional, convert_value

__all__ = ["Augmentation", "Dataset", "Source", "open", "read_image"]

FOLDER = "folder:"
LARGEST_FILE = 2**30  # bytes of an image


def open(
    name: str = "digits",
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    train_examples: int | None = None,
    strict: bool = False,
    augmentation: Augmentation | None = None,
) -> Dataset:
    """Open a data set; nothing is ever downloaded.

    Args:
        name: "digits" (scikit-learn's), "folder:PATH" (one subfolder for each class) or a set of
            TensorFlow Datasets.
        data_dir: where TensorFlow Datasets keeps its sets; None is its own default.
        image_size: edge in pixels of the images that come out; None is the default of the kind of data:
            224 for photographs, 32 for digits and small images (their own edge if that is larger).
        train_examples: train on at most so many examples, for a quick try.
        strict: refuse a folder with broken images instead of leaving them out.
        augmentation: how images are made; None is the standard of the kind of data.

    Raises:
        UserError: the set is unknown, absent or not for classification, or a setting does not fit.
    """
    image_size = convert_value("image_size", Optional(EDGE), image_size)
    source = _source(name, data_dir, train_examples, strict)
    return Dataset(name, source, image_size or default_edge(source), augmentation or Augmentation())


def _source(
    name: str, data_dir: str | os.PathLike | None, train_examples: int | None, strict: bool
) -> Source:
    if name == "digits":
        return Digits(train_examples)
    if name.startswith(FOLDER):
        return Folder(name.removeprefix(FOLDER), train_examples, strict)
    from bnn_keras.data.sources.catalog import Catalog  # TensorFlow Datasets takes a second to import

    return Catalog(name, data_dir, train_examples)


def read_image(
    path: str | os.PathLike, kind: str, image_size: int, augmentation: Augmentation | None = None
) -> np.ndarray:
    """Read an image file as the evaluation of a data set would.

    Args:
        path: a JPEG, PNG, BMP or GIF file.
        kind: see `Dataset.kind`.
        image_size: edge in pixels of the image that comes out.
        augmentation: of the data set; None is the standard of its kind.

    Returns:
        RGB in [0, 255], float32, [image_size, image_size, 3].

    Raises:
        UserError: there is no such file, or it cannot be decoded.
    """
    contents = files.read_bytes(path, LARGEST_FILE)
    try:
        transform = evaluation_transform(augmentation or Augmentation(), kind, image_size)
        return transform(tf.constant(contents)).numpy()
    except tf.errors.OpError:
        raise UserError(
            f"{path} cannot be decoded: valid are complete JPEG, PNG, BMP and GIF images."
        ) from None
