"""Labelled images for training and evaluation, by the names that --dataset takes.

dataset = data.open("cifar10", data_dir="~/tensorflow_datasets")
model.fit(dataset.train(batch_size=64, epoch=0, seed=1))
"""

import dataclasses
import os

import numpy as np
import tensorflow as tf

from bnn_keras import files
from bnn_keras.data.augment.transforms import evaluation_transform
from bnn_keras.data.dataset import Dataset, default_edge
from bnn_keras.data.sources import header, images
from bnn_keras.data.sources.digits import Digits
from bnn_keras.data.sources.folder import Folder, MeasuredFolder
from bnn_keras.data.sources.source import Source
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import EDGE, Augmentation
from bnn_keras.settings.kinds import Optional, convert_value
from bnn_keras.settings.preprocessing import Preprocessing

__all__ = ["Augmentation", "Dataset", "Preprocessing", "Source", "open", "read_image", "read_prepared"]

FOLDER = "folder:"
# What the images of a part are called.
TESTED = {"all": "images", "train": "training images", "val": "validation images", "test": "test images"}
LARGEST_FILE = 2**30  # bytes of an image


def open(
    name: str = "digits",
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    train_examples: int | None = None,
    strict: bool = False,
    augmentation: Augmentation | None = None,
    part: str | None = None,
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
        part: of a folder that is measured only, and not trained on: "all", "train", "val" or "test". Its
            images are those of `Dataset.test`.

    Raises:
        UserError: the set is unknown, absent or not for classification, or a setting does not fit.
    """
    image_size = convert_value("image_size", Optional(EDGE), image_size)
    source = _source(name, data_dir, train_examples, strict, part)
    opened = Dataset(name, source, image_size or default_edge(source), augmentation or Augmentation())
    return opened if part is None else dataclasses.replace(opened, tested=TESTED[part])


def _source(
    name: str, data_dir: str | os.PathLike | None, train_examples: int | None, strict: bool, part: str | None
) -> Source:
    if name.startswith(FOLDER):
        path = name.removeprefix(FOLDER)
        return Folder(path, train_examples, strict) if part is None else MeasuredFolder(path, part)
    if part is not None:
        raise UserError(f"Only of {FOLDER}PATH can a part be chosen. Received: {part} of {name}.")
    if name == "digits":
        return Digits(train_examples)
    from bnn_keras.data.sources.catalog import Catalog  # TensorFlow Datasets takes a second to import

    return Catalog(name, data_dir, train_examples)


def same(name: str, other: str | None) -> bool:
    """Whether two names, as `open` takes them, are of one data set."""
    if other is None or not (name.startswith(FOLDER) and other.startswith(FOLDER)):
        return name == other
    one, two = (os.path.expanduser(each.removeprefix(FOLDER)) for each in (name, other))
    return os.path.realpath(one) == os.path.realpath(two)


def read_image(
    path: str | os.PathLike, kind: str, image_size: int, augmentation: Augmentation | None = None
) -> np.ndarray:
    """Read an image file as the evaluation of a data set would.

    Args:
        path: a JPEG, PNG, BMP, GIF, WebP or TIFF file.
        kind: see `Dataset.kind`.
        image_size: edge in pixels of the image that comes out.
        augmentation: of the data set; None is the standard of its kind.

    Returns:
        RGB in [0, 255], float32, [image_size, image_size, 3].

    Raises:
        UserError: there is no such file, or it cannot be decoded.
    """
    return read_prepared(path, Preprocessing.of(augmentation or Augmentation(), kind, image_size))


def read_prepared(path: str | os.PathLike, preprocessing: Preprocessing) -> np.ndarray:
    """Read an image file, and prepare it as a network takes it.

    Args, result and errors are those of `read_image`.
    """
    contents = files.read_bytes(path, LARGEST_FILE)
    found = header.of(contents[: header.EDGE], contents[header.EDGE :][-header.EDGE :], len(contents))
    try:
        encoded = tf.constant(contents)
        readable = images.transcode(encoded) if found.format in header.BY_PILLOW else encoded
        upright = images.Photograph(readable, tf.constant(found.orientation, tf.int64))
        return evaluation_transform(preprocessing)(upright).numpy()
    except tf.errors.OpError:
        raise UserError(f"{path} cannot be decoded: valid are complete {images.NAMES} images.") from None
