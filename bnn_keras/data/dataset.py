"""A data set: training epochs that can be made again from any batch on, and a held-out set."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from typing_extensions import Self

from bnn_keras.data.augment import mixing
from bnn_keras.data.augment.transforms import evaluation_transform, training_transform
from bnn_keras.data.sources.images import PARALLEL_CALLS
from bnn_keras.data.sources.renamed import Renamed
from bnn_keras.data.sources.source import Source
from bnn_keras.errors import UserError
from bnn_keras.nn import memory, normalization
from bnn_keras.settings.augmentation import PHOTOGRAPH_EDGE, Augmentation
from bnn_keras.settings.preprocessing import Preprocessing

SMALL_EDGE = 32

# What TensorFlow raises for an image that cannot be decoded, by itself or in Python, or is not there.
UNREADABLE = (tf.errors.InvalidArgumentError, tf.errors.UnknownError, tf.errors.NotFoundError)

Part = tuple[int, int]  # (i, n): the i-th of n parts, counted from 0


def default_edge(source: Source) -> int:
    """The image size, if the user chooses none."""
    if source.kind == "photographs":
        return PHOTOGRAPH_EDGE
    return max(SMALL_EDGE, source.edge or 0)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What `bnn_keras.data.open` returns.

    Args:
        name: as given to `open`.
        source: of the examples.
        image_size: edge in pixels of the images that come out.
        augmentation: how they are made.
        preprocessing: how the images of `test` are made; None is as `augmentation` says.
        tested: what the images of `test` are, for messages.
    """

    name: str
    source: Source
    image_size: int
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    preprocessing: Preprocessing | None = None
    tested: str = "held-out images"

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
        """How many training examples there are."""
        return self.source.num_train

    @property
    def num_test(self) -> int:
        """How many held-out examples there are, or those of another part that is measured."""
        return self.source.num_test

    @property
    def normalization(self) -> str:
        """The name of the constants in `bnn_keras.nn.normalization` that fit."""
        return self.source.normalization

    @property
    def evaluated(self) -> Preprocessing:
        """How the images of `test` are made."""
        return self.preprocessing or Preprocessing.of(self.augmentation, self.kind, self.image_size)

    def with_classes(self, class_names: Sequence[str]) -> Self:
        """The same data set with the labels of a network, by the names of the classes.

        Args:
            class_names: of the network's outputs.

        Raises:
            UserError: the data set has a class that the network does not know.
        """
        if tuple(class_names) == self.class_names:
            return self
        return dataclasses.replace(self, source=Renamed.by_name(self.source, class_names, self.name))

    @contextlib.contextmanager
    def decoding(self) -> Iterator[None]:
        """Name the images that cannot be decoded, if reading batches fails because of that.

        Raises:
            UserError: there are such images.
        """
        try:
            yield
        except UNREADABLE as error:
            broken = self.source.broken()
            if not broken:
                raise
            raise UserError(
                f"Cannot decode {len(broken)} images of {self.name}, whose headers are in order: "
                f"{', '.join(broken)}; the next start leaves them out."
            ) from error

    @property
    def soft_labels(self) -> bool:
        """Whether `train` gives labels as distributions, because images are mixed."""
        return self.augmentation.soft_labels

    @property
    def repeats(self) -> int:
        """Copies of each image in a batch."""
        return self.augmentation.repeats

    def steps_per_epoch(self, batch_size: int) -> int:
        """How many whole batches the training set has.

        Raises:
            UserError: it has none, or the repeated images do not fill one.
        """
        if not 1 <= batch_size <= self.num_train:
            raise UserError(
                f"The batch size must be from 1 to {self.num_train}, the number of training examples of "
                f"{self.name}. Received: {batch_size}."
            )
        if batch_size % self.repeats:
            raise UserError(
                f"The batch size must be a multiple of repeats, {self.repeats}. Received: {batch_size}."
            )
        self._check_memory(batch_size)
        return self.num_train // batch_size

    def _check_memory(self, batch_size: int) -> None:
        what = f"A batch of {batch_size} images of {self.image_size} pixels"
        memory.check(batch_size * self.image_size**2 * 3 * memory.FLOAT, what)

    def train(
        self, batch_size: int, epoch: int, seed: int, skip_batches: int = 0, part: Part = (0, 1)
    ) -> tf.data.Dataset:
        """One epoch. The arguments alone decide the order, the crops and everything else that is random.

        Args:
            batch_size: examples in a batch; those left over at the end are dropped.
            epoch: counted from 0.
            seed: 0 or more.
            skip_batches: leave out so many batches at the beginning, without decoding them; those
                that follow are the same.
            part: (i, n) gives the i-th of n equal parts of every batch, counted from 0; the rest is
                not decoded. The parts together are the whole batches.

        Returns:
            Batches of images, RGB in [0, 255], float32 [batch, size, size, 3], and labels: int64
            [batch], or float32 [batch, classes] with `soft_labels`. Copies of an image are
            neighbours.

        Raises:
            UserError: the batch size is larger than the set or not a multiple of the parts or the
                repeats, the seed is negative, or images of different parts would be mixed.
        """
        steps = self.steps_per_epoch(batch_size)
        if seed < 0:
            raise UserError(f"The seed must be 0 or more. Received: {seed}.")
        random = np.random.default_rng([seed, epoch])
        key = random.integers(2**63)
        mean, _ = normalization.MEAN_STD[self.normalization]
        transform = training_transform(
            self.augmentation, self.kind, self.image_size, mean, self.source.all_jpeg
        )

        def example(position: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            contents, label = self.source.read(record)
            # The position in the epoch decides, not how many numbers were drawn before.
            return transform(contents, tf.stack([key, position])), label

        skipped, left = skip_batches * batch_size, max(0, steps - skip_batches)
        records = _repeat(self.source.train(random), self.repeats).skip(skipped)
        records = records.enumerate(start=skipped).take(left * batch_size)
        records, size = _take_part(records, batch_size, part)
        batches = _batches(records, example, size, drop_remainder=True)
        if self.soft_labels:
            if part[1] > 1 and size % (2 * self.repeats):
                raise UserError(
                    f"Neighbours in a batch are mixed, so a worker's part of the batch must be a multiple of "
                    f"{2 * self.repeats}. Received: {size}."
                )
            # A generator of its own: whether images are mixed does not change their order.
            batches = self._mix(batches, np.random.default_rng([seed, epoch, 1]), steps, skip_batches)
        return batches.apply(tf.data.experimental.assert_cardinality(left))

    def test(self, batch_size: int, limit: int | None = None, part: Part = (0, 1)) -> tf.data.Dataset:
        """The held-out examples, in a fixed order; the last batch may be smaller.

        Args:
            batch_size: examples in a batch.
            limit: at most so many examples.
            part: (i, n) gives every n-th example, starting with the i-th. All parts have equally many
                batches, none of them empty; for that, batches may be a little larger than
                batch_size / n.

        Returns:
            As `train`, the labels always int64.

        Raises:
            UserError: a batch size or limit below 1, a batch size that is not a multiple of the parts, or
                more parts than examples.
        """
        for what, number in (("batch size", batch_size), ("limit", limit)):
            if number is not None and number < 1:
                raise UserError(f"The {what} must be at least 1. Received: {number}.")
        transform = evaluation_transform(self.evaluated)
        count = min(self.num_test, limit or self.num_test)
        self._check_memory(min(batch_size, count))

        def example(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            contents, label = self.source.read(record)
            return transform(contents), label

        index, parts = part
        size = _size_for_equal_counts(count, batch_size, parts)
        records = self.source.test().take(count).shard(parts, index)
        batches = _batches(records, example, size, drop_remainder=False)
        return batches.apply(tf.data.experimental.assert_cardinality(-(-count // (parts * size))))

    def _mix(
        self, batches: tf.data.Dataset, random: np.random.Generator, steps: int, skip: int
    ) -> tf.data.Dataset:
        plan = mixing.plan(random, steps, self.image_size, self.augmentation.mixup, self.augmentation.cutmix)

        def mix(batch: tuple[tf.Tensor, tf.Tensor], how: dict) -> tuple[tf.Tensor, tf.Tensor]:
            images, labels = batch
            return mixing.mix(images, labels, len(self.class_names), how, self.repeats)

        pairs = tf.data.Dataset.zip((batches, tf.data.Dataset.from_tensor_slices(plan).skip(skip)))
        return pairs.map(mix, num_parallel_calls=PARALLEL_CALLS).prefetch(tf.data.AUTOTUNE)


def _repeat(records: tf.data.Dataset, times: int) -> tf.data.Dataset:
    """Every record so many times in a row."""
    if times == 1:
        return records
    return records.flat_map(lambda record: tf.data.Dataset.from_tensors(record).repeat(times))


def _take_part(records: tf.data.Dataset, batch_size: int, part: Part) -> tuple[tf.data.Dataset, int]:
    """Of records with their positions, those in a part of every batch, and the size of such a part."""
    index, parts = part
    if parts == 1:
        return records, batch_size
    size = _share(batch_size, parts)
    # Neighbours stay together, so that the same pairs are mixed as in the whole batch.
    return records.filter(lambda position, _: position % batch_size // size == index), size


def _share(batch_size: int, parts: int) -> int:
    if batch_size % parts:
        raise UserError(f"The batch size must be a multiple of the {parts} parts. Received: {batch_size}.")
    return batch_size // parts


def _size_for_equal_counts(count: int, batch_size: int, parts: int) -> int:
    """The batch size of a part with which all parts of `count` examples have equally many batches."""
    fewest, most = count // parts, -(-count // parts)
    if not fewest:
        raise UserError(f"{count} held-out examples are not enough for {parts} parts.")
    size = _share(batch_size, parts)
    while -(-fewest // size) != -(-most // size):
        size += 1
    return size


def _batches(
    records: tf.data.Dataset, example: Callable, batch_size: int, drop_remainder: bool
) -> tf.data.Dataset:
    """Read, decode and batch in parallel, in the order of the records."""
    options = tf.data.Options()
    options.deterministic = True
    examples = records.map(example, num_parallel_calls=PARALLEL_CALLS)
    batches = examples.batch(batch_size, drop_remainder, num_parallel_calls=PARALLEL_CALLS)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
