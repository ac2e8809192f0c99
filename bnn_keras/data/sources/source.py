"""What a source of labelled images is to a data set."""

from typing import Protocol

import numpy as np
import tensorflow as tf

from bnn_keras.data.sources.images import Contents


class Source(Protocol):
    """Where examples come from: records in a cheap order, and a function that reads one of them.

    Attributes:
        kind: see `bnn_keras.data.Dataset.kind`.
        edge: of the images in pixels; None if it varies.
        class_names: by label.
        num_train, num_test: how many examples there are.
        all_jpeg: whether every image is known to be a JPEG file.
        normalization: see `bnn_keras.data.Dataset.normalization`.
        uses_pillow: whether some images are decoded in Python, which a tf.data service cannot do.
    """

    kind: str
    edge: int | None
    class_names: tuple[str, ...]
    num_train: int
    num_test: int
    all_jpeg: bool
    normalization: str
    uses_pillow: bool = False

    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        """The records of the training examples, in an order that `random` draws."""

    def test(self) -> tf.data.Dataset:
        """The records of the held-out examples, always in the same order."""

    def read(self, record: tf.Tensor) -> tuple[Contents, tf.Tensor]:
        """The contents of an image file (or pixels), and the label, int64."""

    def broken(self) -> list[str]:
        """The names of the images that cannot be decoded, after an image could not; those that are known."""
        return []
