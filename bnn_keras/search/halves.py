"""The two halves of a training set: one for the weights, the other for the scores of the operations."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from typing_extensions import Self, override

from bnn_keras.data import Dataset
from bnn_keras.data.dataset import Part
from bnn_keras.data.sources.order import shuffle
from bnn_keras.data.sources.source import Source
from bnn_keras.errors import UserError

# Records that examples are drawn from: all of a small set, and of photographs as many as memory has room for.
BUFFER, BUFFER_OF_PHOTOGRAPHS = 2**16, 2**12


class Half:
    """A source with one half of another one's training examples, which holds out the other half.

    Which examples belong to which half is random, and always the same.

    Args:
        whole: the source of all examples.
        second: whether these are the examples of the second half.
    """

    def __init__(self, whole: Source, second: bool = False) -> None:
        self.whole, self._second = whole, second
        sizes = [whole.num_train // 2, -(-whole.num_train // 2)]
        self.num_train, self.num_test = reversed(sizes) if second else sizes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        """As `Source.train`."""
        most = BUFFER_OF_PHOTOGRAPHS if self.kind == "photographs" else BUFFER
        return shuffle(self._records(self._second), min(self.num_train, most), random)

    def test(self) -> tf.data.Dataset:
        """As `Source.test`: the other half."""
        return self._records(not self._second)

    def _records(self, second: bool) -> tf.data.Dataset:
        records, size = self.whole.train(np.random.default_rng(0)), self.whole.num_train // 2
        return records.skip(size) if second else records.take(size)


@dataclasses.dataclass(frozen=True)
class Halves(Dataset):
    """A data set of which one half trains the weights, and the other half the scores.

    The held-out images are those of the second half: a search never sees the test images of its data set.
    """

    source: Half

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Divide the training examples of a data set."""
        values = {field.name: getattr(dataset, field.name) for field in dataclasses.fields(dataset)}
        return cls(**{**values, "source": Half(dataset.source)})

    @override
    def steps_per_epoch(self, batch_size: int) -> int:
        if not 1 <= batch_size <= self.num_train:
            valid = f"from 1 to {self.num_train}" if self.num_train else "1, of at least 2 examples"
            raise UserError(
                f"A search takes batches of either half of the {self.num_train + self.num_test} training "
                f"examples of {self.name}: the batch size must be {valid}. Received: {batch_size}."
            )
        return super().steps_per_epoch(batch_size)

    @override
    def train(
        self, batch_size: int, epoch: int, seed: int, skip_batches: int = 0, part: Part = (0, 1)
    ) -> tf.data.Dataset:
        """One epoch, as `Dataset.train`.

        Returns:
            Pairs of batches: their images, and their labels. The first of a pair is for the weights.
        """
        first = super().train(batch_size, epoch, seed, skip_batches, part)
        other = Half(self.source.whole, second=True)
        scores = Dataset(self.name, other, self.image_size, self.augmentation)
        second = scores.train(batch_size, epoch, seed, skip_batches, part)
        pairs = tf.data.Dataset.zip((first, second.take(first.cardinality())))
        return pairs.map(lambda one, other: tuple(zip(one, other, strict=True)))
