"""Throughput of the ImageNet training pipeline beside the least that any such pipeline must do.

The yardstick reads the same records, decodes crops, resizes and batches them, on as many threads. Its
crops are drawn beforehand, with the same distribution; it shuffles, draws and flips nothing. With flags of
an augmentation, such as --rand_augment, the pipeline is measured with it too.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tensorflow as tf
from absl import flags

from bnn_keras import data
from bnn_keras.cli import augmentation_flags
from bnn_keras.cli import command as cli
from bnn_keras.cli.benchmark import timing
from bnn_keras.data.augment import crops
from bnn_keras.data.sources import catalog
from bnn_keras.data.sources.images import PARALLEL_CALLS
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import STANDARDS

DATASET = "imagenet2012"
SEED = 1
# --repeats is about the measurements here.
KEYS = tuple(key for key in augmentation_flags.KEYS if key != "repeats")


def flag_values() -> flags.FlagValues:
    """The flags, with their defaults."""
    values = flags.FlagValues()
    where = f"Where {DATASET} lies in TFDS form."
    flags.DEFINE_string("data_dir", "../shared/tfds", where, flag_values=values)
    for name, default, meaning in (
        ("images", 3000, "Images a measurement."),
        ("image_size", 224, "Edge in pixels of what comes out."),
        ("batch_size", 64, "Images a batch."),
        ("repeats", 15, "Measurements of each, in turns."),
    ):
        flags.DEFINE_integer(name, default, meaning, flag_values=values, lower_bound=1)
    augmentation_flags.define(values, KEYS)
    return values


@dataclasses.dataclass
class Repeated:
    """A source whose training set comes several times an epoch, every time with other crops."""

    source: data.Source
    num_train: int

    def __getattr__(self, name):
        return getattr(self.source, name)

    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        return self.source.train(random).repeat().take(self.num_train)


def training(dataset: data.Dataset, images: int, batch_size: int) -> Callable[[], int]:
    """Run the training pipeline over `images` images; the function returns how many came out."""
    longer = dataclasses.replace(dataset, source=Repeated(dataset.source, images))
    return lambda: _consume(longer.train(batch_size, epoch=0, seed=SEED))


def bare(dataset: data.Dataset, data_dir: str, images: int, batch_size: int) -> Callable[[], int]:
    """Read, decode and crop, resize, batch; the function returns how many images came out."""
    records = tf.data.TFRecordDataset(catalog.Catalog(DATASET, data_dir).train_files)
    windows = _windows([dataset.source.read(record)[0] for record in records], images)
    size = [dataset.image_size] * 2

    def example(record, window):
        contents, label = dataset.source.read(record)
        return tf.image.resize(tf.image.decode_and_crop_jpeg(contents, window, channels=3), size), label

    def run() -> int:
        crops = tf.data.Dataset.from_tensor_slices(windows)
        examples = tf.data.Dataset.zip((records.repeat(), crops))
        examples = examples.map(example, num_parallel_calls=PARALLEL_CALLS)
        batches = examples.batch(batch_size, drop_remainder=True, num_parallel_calls=PARALLEL_CALLS)
        return _consume(batches.prefetch(tf.data.AUTOTUNE))

    return run


def _windows(files: list[tf.Tensor], images: int) -> np.ndarray:
    """A crop of each image in turn, int32 [images, 4]."""
    shapes = [tf.image.extract_jpeg_shape(file) for file in files]
    numbers = tf.random.stateless_uniform([images, 2 * crops.ATTEMPTS + 2], [SEED, SEED])
    standard = STANDARDS["photographs"]
    window = partial(crops.window, area=standard.crop_area, aspect=standard.crop_aspect)
    return np.stack([window(shapes[i % len(shapes)], chance) for i, chance in enumerate(numbers)])


def _consume(batches: tf.data.Dataset) -> int:
    return sum(len(images) for images, _ in batches)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure and print."""
    cli.no_more(positional)
    images, batch_size = values.images, values.batch_size
    if batch_size > images:
        raise UserError(f"The batch size must be from 1 to {images}, the images. Received: {batch_size}.")
    augmented = augmentation_flags.given(values, keys=KEYS)
    dataset = data.open(DATASET, values.data_dir, values.image_size)
    functions = {
        "bare": bare(dataset, values.data_dir, images, batch_size),
        "training": training(dataset, images, batch_size),
    }
    if augmented != dataset.augmentation:
        changed = dataclasses.replace(dataset, augmentation=augmented)
        functions["augmented"] = training(changed, images, batch_size)
    counts = {name: function() for name, function in functions.items()}
    measured = timing.interleaved(functions, values.repeats)
    for name, count in counts.items():
        print(f"{name:9} {count / measured.median(name):8.1f} images/s (median of {values.repeats})")
    for name in list(functions)[1:]:
        print(f"{name} reaches {100 / measured.ratio(name):.1f} % of the bare pipeline's throughput")
    print(f"A/A ratio of the bare pipeline: {measured.aa_ratio:.3f}")
    print(
        f"{dataset.image_size} pixels, {counts['bare']} images in batches of {batch_size}: {timing.machine()}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see `bnn_keras.cli.command.run` for the status."""
    return cli.run(run, flag_values(), __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
