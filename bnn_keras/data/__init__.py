"""Labelled images for training and evaluation, by the words of --dataset.

dataset = data.open("cifar10", data_dir="~/tensorflow_datasets")
model.fit(dataset.train(batch_size=64, epoch=0, seed=1))
"""

import os

import numpy as np
import tensorflow as tf

from bnn_keras.data.augment.transforms import evaluation_transform
from bnn_keras.data.dataset import Dataset, Source, default_edge
from bnn_keras.data.sources import catalog, digits, folder
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import Augmentation

__all__ = ["Augmentation", "Dataset", "Source", "names", "open", "read_image"]

FOLDER = "folder:"


def names() -> list[str]:
    """What `open` takes as a name, in words."""
    return ["digits", f"{FOLDER}PATH", "any image classification set of TensorFlow Datasets (cifar10, …)"]


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
        name: "digits" (scikit-learn's), "folder:PATH" (one subfolder a class) or a set of
            TensorFlow Datasets.
        data_dir: where TensorFlow Datasets keeps its sets; None is its own default.
        image_size: edge in pixels of the images that come out; None is the kind's own: 32 for
            digits and small sets (their own edge if that is larger), 224 for photographs.
        train_examples: train on no more than so many examples, for a quick try.
        strict: refuse a folder with broken images instead of leaving them out.
        augmentation: how images are made; None is the standard of the set's kind.

    Raises:
        UserError: the set is unknown, absent or not for classification, or a setting does not fit.
    """
    if image_size is not None and image_size < 1:
        raise UserError(f"image_size is the edge of an image in pixels, at least 1. Received: {image_size}.")
    if name == "digits":
        source: Source = digits.Digits(train_examples)
    elif name.startswith(FOLDER):
        source = folder.Folder(name.removeprefix(FOLDER), train_examples, strict)
    else:
        source = catalog.Catalog(name, data_dir, train_examples)
    return Dataset(name, source, image_size or default_edge(source), augmentation or Augmentation())


def read_image(
    path: str | os.PathLike, kind: str, image_size: int, augmentation: Augmentation | None = None
) -> np.ndarray:
    """One image file as the evaluation of a data set would see it.

    Args:
        path: a JPEG, PNG, BMP or GIF file.
        kind: see `Dataset.kind`.
        image_size: edge in pixels of what comes out.
        augmentation: of the data set; None is the standard of its kind.

    Returns:
        RGB in [0, 255], float32, [image_size, image_size, 3].

    Raises:
        UserError: there is no such file, or it cannot be decoded.
    """
    try:
        contents = tf.io.read_file(os.fspath(path))
        transform = evaluation_transform(augmentation or Augmentation(), kind, image_size)
        return transform(contents).numpy()
    except tf.errors.InvalidArgumentError:
        raise UserError(f"{path} cannot be decoded: valid are whole JPEG, PNG, BMP and GIF images.") from None
    except tf.errors.OpError as error:
        raise UserError(f"Cannot read the image {path}: {error.message.split(';')[-1].strip()}.") from None
