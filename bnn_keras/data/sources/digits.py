"""scikit-learn's handwritten digits: 1,797 real images of 8 x 8 pixels that need no network."""

import numpy as np
import tensorflow as tf
from typing_extensions import override

from bnn_keras.data.sources import split
from bnn_keras.data.sources.source import Source

WHITE = 16  # the largest value in scikit-learn's images


class Digits(Source):
    """The digits as a source; which of them are held out is fixed.

    Args:
        train_examples: train on at most so many; None is all.

    Raises:
        UserError: train_examples does not fit.
    """

    kind = "digits"
    edge = 8
    all_jpeg = False
    class_names = tuple("0123456789")
    normalization = "digits"

    def __init__(self, train_examples: int | None = None) -> None:
        from sklearn import datasets  # takes a second to import

        digits = datasets.load_digits()
        # The set is ordered by writer. RandomState draws the same numbers in every version of NumPy.
        order = np.random.RandomState(0).permutation(len(digits.target))
        self.images = (digits.images[order, ..., None] * (255 / WHITE)).repeat(3, axis=-1).astype(np.float32)
        self.labels = digits.target[order].astype(np.int64)
        train, self._test = split.hold_out(self.labels)
        self._train = train[split.in_proportion(self.labels[train], train_examples)]
        self.num_train, self.num_test = len(self._train), len(self._test)

    @override
    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(random.permutation(self._train))

    @override
    def test(self) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(self._test)

    @override
    def read(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(self.images, record), tf.gather(self.labels, record)
