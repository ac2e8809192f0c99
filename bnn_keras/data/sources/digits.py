"""scikit-learn's handwritten digits: 1,797 real images of 8 x 8 pixels that need no network."""

import numpy as np
import tensorflow as tf

from bnn_keras.data.sources import split

WHITE = 16  # the largest value in scikit-learn's images


class Digits:
    """The digits as a source; the split is fixed.

    Args:
        train_examples: train on no more than so many.

    Raises:
        UserError: train_examples does not fit.
    """

    kind = "digits"
    edge: int | None = 8
    all_jpeg = False
    class_names: tuple[str, ...] = tuple("0123456789")
    normalization = "digits"

    def __init__(self, train_examples: int | None = None):
        from sklearn import datasets  # a second to import, for this source only

        digits = datasets.load_digits()
        # The writers come one after the other: a fixed shuffle, of the generator that never changes.
        order = np.random.RandomState(0).permutation(len(digits.target))
        self.images = (digits.images[order, ..., None] * (255 / WHITE)).repeat(3, axis=-1).astype(np.float32)
        self.labels = digits.target[order].astype(np.int64)
        train, self._test = split.hold_out(self.labels)
        self._train = train[split.in_proportion(self.labels[train], train_examples)]
        self.num_train, self.num_test = len(self._train), len(self._test)

    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(random.permutation(self._train))

    def test(self) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(self._test)

    def read(self, record):
        return tf.gather(self.images, record), tf.gather(self.labels, record)
