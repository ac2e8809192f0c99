"""A data set: epochs of training batches that can be made again from any batch on, and a test set."""

import dataclasses
import os
import sys
from typing import Protocol

import numpy as np
import tensorflow as tf

from bnn_keras.data.augment import mixing
from bnn_keras.data.augment.transforms import evaluation_transform, training_transform
from bnn_keras.errors import UserError
from bnn_keras.nn import normalization
from bnn_keras.settings.augmentation import Augmentation

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
        augmentation: how they are made.
    """

    name: str
    source: Source
    image_size: int
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)

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
        """The name of the constants in `bnn_keras.nn.normalization` that fit."""
        return self.source.normalization

    @property
    def soft_labels(self) -> bool:
        """Whether `train` gives labels as distributions, because images are mixed."""
        return self.augmentation.soft_labels

    @property
    def repeats(self) -> int:
        """Copies of each image in a batch."""
        return self.augmentation.repeats

    def steps_per_epoch(self, batch_size: int) -> int:
        """Whole batches in the training set.

        Raises:
            UserError: there is none, or repeated images do not fill one.
        """
        if not 1 <= batch_size <= self.num_train:
            raise UserError(
                f"The batch size must be from 1 to {self.num_train}, the training examples of {self.name}. "
                f"Received: {batch_size}."
            )
        if batch_size % self.repeats:
            raise UserError(
                f"The batch size must be a multiple of repeats, {self.repeats}. Received: {batch_size}."
            )
        return self.num_train // batch_size

    def train(
        self, batch_size: int, epoch: int, seed: int, skip_batches: int = 0, part: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """One epoch, a function of nothing but the arguments: order, crops and all other chance.

        Args:
            batch_size: examples a batch; those left over at the end are dropped.
            epoch: from 0.
            seed: 0 or more.
            skip_batches: leave out so many at the beginning; what follows is the same. They are
                not decoded.
            part: (i, n) gives of every batch the i-th of n equal parts, counted from 0; the rest is
                not decoded. What n readers see together is what one sees who reads all of it.

        Returns:
            Batches of images, RGB in [0, 255], float32 [batch, size, size, 3], and labels: int64
            [batch], or float32 [batch, classes] with `soft_labels`. Copies of an image are
            neighbours.

        Raises:
            UserError: a batch larger than the set or not a multiple of the parts or the repeats, a negative
                seed, or a part that would mix its images with another part's.
        """
        steps = self.steps_per_epoch(batch_size)
        if seed < 0:
            raise UserError(f"The seed must be 0 or more. Received: {seed}.")
        random = np.random.default_rng([seed, epoch])
        key = random.integers(2**63)
        mean, _ = normalization.MEAN_STD[self.normalization]
        augment = training_transform(
            self.augmentation, self.kind, self.image_size, tuple(mean), self.source.all_jpeg
        )

        def example(position, record):
            contents, label = self.source.read(record)
            # Stateless: the position in the epoch decides, not what was drawn before.
            return augment(contents, tf.stack([key, position])), label

        skipped, left = skip_batches * batch_size, max(0, steps - skip_batches)
        records = _repeated(self.source.train(random), self.repeats).skip(skipped)
        records = records.enumerate(start=skipped).take(left * batch_size)
        records, size = _part(records, batch_size, part)
        batches = _batches(records, example, size, drop_remainder=True)
        if self.soft_labels:
            if part[1] > 1 and size % (2 * self.repeats):
                raise UserError(
                    f"Mixed images are neighbours, so a worker's part of the batch must be a multiple of "
                    f"{2 * self.repeats}. Received: {size}."
                )
            # Of its own: the order of the images does not depend on whether they are mixed.
            mixing_random = np.random.default_rng([seed, epoch, 1])
            batches = self._mixed(batches, mixing_random, steps, skip_batches)
        return batches.apply(tf.data.experimental.assert_cardinality(left))

    def test(
        self, batch_size: int, limit: int | None = None, part: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """The held-out examples in evaluation form, in a fixed order, the last batch as it comes.

        Args:
            batch_size: examples a batch.
            limit: no more than so many examples.
            part: (i, n) gives every n-th example from the i-th on. All parts have equally many
                batches and none is empty, for which they may be a little larger.

        Returns:
            As `train`, the labels always int64.

        Raises:
            UserError: a batch size or limit below 1, a batch size that is not a multiple of the parts, or
                more parts than examples.
        """
        for what, count in (("batch size", batch_size), ("limit", limit)):
            if count is not None and count < 1:
                raise UserError(f"The {what} must be at least 1. Received: {count}.")
        whole = evaluation_transform(self.augmentation, self.kind, self.image_size)
        count = min(self.num_test, limit or self.num_test)

        def example(record):
            contents, label = self.source.read(record)
            return whole(contents), label

        index, parts = part
        size = _equally_many_batches(count, batch_size, parts)
        records = self.source.test().take(count).shard(parts, index)
        batches = _batches(records, example, size, drop_remainder=False)
        return batches.apply(tf.data.experimental.assert_cardinality(-(-count // (parts * size))))

    def _mixed(
        self, batches: tf.data.Dataset, random: np.random.Generator, steps: int, skip: int
    ) -> tf.data.Dataset:
        alphas = self.augmentation.mixup, self.augmentation.cutmix
        plan = mixing.plan(random, steps, self.image_size, *alphas)

        def mix(batch, how):
            images, labels = batch
            return mixing.mix(images, labels, len(self.class_names), how, self.repeats)

        pairs = tf.data.Dataset.zip((batches, tf.data.Dataset.from_tensor_slices(plan).skip(skip)))
        return pairs.map(mix, num_parallel_calls=PARALLEL_CALLS).prefetch(tf.data.AUTOTUNE)


def note(message: str) -> None:
    """Tell the user, on standard error."""
    print(message, file=sys.stderr)


def _repeated(records: tf.data.Dataset, times: int) -> tf.data.Dataset:
    """Every record so many times in a row."""
    if times == 1:
        return records
    return records.flat_map(lambda record: tf.data.Dataset.from_tensors(record).repeat(times))


def _part(records: tf.data.Dataset, batch_size: int, part: tuple[int, int]) -> tuple[tf.data.Dataset, int]:
    """Of records with their positions those of a part of every batch, and how many those are a batch."""
    index, parts = part
    if parts == 1:
        return records, batch_size
    size = _share(batch_size, parts)
    # Neighbours stay together: what mixes the images of a batch in pairs then mixes the same ones.
    return records.filter(lambda position, _: position % batch_size // size == index), size


def _share(batch_size: int, parts: int) -> int:
    if batch_size % parts:
        raise UserError(f"The batch size must be a multiple of the {parts} parts. Received: {batch_size}.")
    return batch_size // parts


def _equally_many_batches(count: int, batch_size: int, parts: int) -> int:
    """The size of a part's batches when `count` examples are dealt out to the parts."""
    fewest, most = count // parts, -(-count // parts)
    if not fewest:
        raise UserError(f"{count} held-out examples do not suffice for {parts} parts.")
    size = _share(batch_size, parts)
    while -(-fewest // size) != -(-most // size):
        size += 1
    return size


def _batches(records, example, batch_size: int, drop_remainder: bool) -> tf.data.Dataset:
    """Read, decode and batch in parallel, in the records' order."""
    options = tf.data.Options()
    options.deterministic = True
    examples = records.map(example, num_parallel_calls=PARALLEL_CALLS)
    batches = examples.batch(batch_size, drop_remainder, num_parallel_calls=PARALLEL_CALLS)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
