"""A data set: epochs of training batches that can be made again from any batch on, and a test set."""

import dataclasses
import os
import sys
from typing import Protocol

import numpy as np
import tensorflow as tf

from bnn_keras import normalization
from bnn_keras.data import augmentation
from bnn_keras.errors import UserError

PHOTOGRAPH_EDGE = 224
SMALL_EDGE = 32
# AUTOTUNE was seen to keep to one core of two for whole epochs. Twice as many as cores,
# because the results keep their order: those behind a slow image must be able to go on.
PARALLEL_CALLS = 2 * (os.cpu_count() or 1)


class Source(Protocol):
    """Where examples come from: a cheap order of records, and how one of them is read.

    Attributes:
        kind: see `Dataset.kind`.
        edge: of the images as they are, None where it varies.
        class_names: by label.
        num_train, num_test: examples.
        all_jpeg: whether every image file is a JPEG for certain.
        normalization: see `Dataset.normalization`.
    """

    kind: str
    edge: int | None
    class_names: tuple[str, ...]
    num_train: int
    num_test: int
    all_jpeg: bool
    normalization: str

    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        """The records of the training examples in the order that `random` gives."""

    def test(self) -> tf.data.Dataset:
        """The records of the held-out examples, always in the same order."""

    def read(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The contents of an image file (or pixels), and the label, int64."""


def default_edge(source: Source) -> int:
    """The image size for a source that nobody chose one for."""
    if source.kind == "photographs":
        return PHOTOGRAPH_EDGE
    return max(SMALL_EDGE, source.edge or 0)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What `bnn_keras.data.open` gives.

    Args:
        name: as given to `open`.
        source: of the examples.
        image_size: edge in pixels of the images that come out.
    """

    name: str
    source: Source
    image_size: int

    @property
    def kind(self) -> str:
        """ "digits", "small" (padded and cropped) or "photographs" (random resized crops)."""
        return self.source.kind

    @property
    def class_names(self) -> tuple[str, ...]:
        """By label."""
        return self.source.class_names

    @property
    def num_train(self) -> int:
        """Training examples."""
        return self.source.num_train

    @property
    def num_test(self) -> int:
        """Held-out examples."""
        return self.source.num_test

    @property
    def normalization(self) -> str:
        """The name of the constants in `bnn_keras.normalization` that fit."""
        return self.source.normalization

    def steps_per_epoch(self, batch_size: int) -> int:
        """Whole batches in the training set.

        Raises:
            UserError: there is none.
        """
        if not 1 <= batch_size <= self.num_train:
            raise UserError(
                f"The batch size must be from 1 to {self.num_train}, the training examples of {self.name}. "
                f"Received: {batch_size}."
            )
        return self.num_train // batch_size

    def train(
        self, batch_size: int, epoch: int, seed: int, skip_batches: int = 0, part: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """One epoch, a function of nothing but the arguments: order, crops and flips.

        Args:
            batch_size: examples a batch; those left over at the end are dropped.
            epoch: from 0.
            seed: 0 or more.
            skip_batches: leave out so many at the beginning; what follows is the same. They are
                not decoded.
            part: (i, n) gives of every batch the i-th of n equal parts, counted from 0; the rest is
                not decoded. What n readers see together is what one sees who reads all of it.

        Returns:
            Batches of images, RGB in [0, 255], float32 [batch, size, size, 3], and labels, int64.

        Raises:
            UserError: a batch larger than the set or not a multiple of the parts, or a negative seed.
        """
        steps = self.steps_per_epoch(batch_size)
        if seed < 0:
            raise UserError(f"The seed must be 0 or more. Received: {seed}.")
        random = np.random.default_rng([seed, epoch])
        key = random.integers(2**63)
        mean, _ = normalization.MEAN_STD[self.normalization]
        augment = augmentation.training(self.kind, self.image_size, mean, self.source.all_jpeg)

        def example(position, record):
            contents, label = self.source.read(record)
            # Stateless: the position in the epoch decides, not what was drawn before.
            return augment(contents, tf.stack([key, position])), label

        skipped, left = skip_batches * batch_size, max(0, steps - skip_batches)
        records = self.source.train(random).skip(skipped).enumerate(start=skipped).take(left * batch_size)
        records, size = _part(records, batch_size, part)
        batches = _batches(records, example, size, drop_remainder=True)
        return batches.apply(tf.data.experimental.assert_cardinality(left))

    def test(
        self, batch_size: int, limit: int | None = None, part: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """The held-out examples in evaluation form, in a fixed order, the last batch as it comes.

        Args:
            batch_size: examples a batch.
            limit: no more than so many examples.
            part: as in `train`; of the last batch a later part may get less than the first, or nothing.

        Returns:
            As `train`.

        Raises:
            UserError: a batch size or limit below 1, or a batch size that is not a multiple of the parts.
        """
        for what, count in (("batch size", batch_size), ("limit", limit)):
            if count is not None and count < 1:
                raise UserError(f"The {what} must be at least 1. Received: {count}.")
        whole = augmentation.evaluation(self.kind, self.image_size)
        count = min(self.num_test, limit or self.num_test)

        def example(_, record):
            contents, label = self.source.read(record)
            return whole(contents), label

        records, size = _part(self.source.test().take(count).enumerate(), batch_size, part)
        batches = _batches(records, example, size, drop_remainder=False)
        whole_batches, rest = divmod(count, batch_size)
        last = 1 if rest > part[0] * size else 0
        return batches.apply(tf.data.experimental.assert_cardinality(whole_batches + last))


def note(message: str) -> None:
    """Tell the user, on standard error."""
    print(message, file=sys.stderr)


def _part(records: tf.data.Dataset, batch_size: int, part: tuple[int, int]) -> tuple[tf.data.Dataset, int]:
    """Of records with their positions those of a part of every batch, and how many those are a batch."""
    index, parts = part
    if parts == 1:
        return records, batch_size
    if batch_size % parts:
        raise UserError(f"The batch size must be a multiple of the {parts} workers. Received: {batch_size}.")
    size = batch_size // parts
    # Neighbours stay together: what mixes the images of a batch in pairs then mixes the same ones.
    return records.filter(lambda position, _: position % batch_size // size == index), size


def _batches(records, example, batch_size: int, drop_remainder: bool) -> tf.data.Dataset:
    """Read, decode and batch in parallel, in the records' order."""
    options = tf.data.Options()
    options.deterministic = True
    examples = records.map(example, num_parallel_calls=PARALLEL_CALLS)
    batches = examples.batch(batch_size, drop_remainder, num_parallel_calls=PARALLEL_CALLS)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
