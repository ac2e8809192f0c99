"""Throughput of the ImageNet training pipeline beside the least that any such pipeline must do.

The yardstick decodes crops out of images that are in memory already, resizes and batches them. The
crops are drawn beforehand, with the same distribution; it reads, shuffles, draws and flips nothing.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from absl import flags

from bnn_keras import cli, data
from bnn_keras.benchmark import timing
from bnn_keras.data import augmentation
from bnn_keras.errors import UserError

DATASET = "imagenet2012"
SEED = 1

FLAGS = flags.FlagValues()
flags.DEFINE_string("data_dir", "../shared/tfds", f"Where {DATASET} lies in TFDS form.", flag_values=FLAGS)
flags.DEFINE_integer("images", 3000, "Images a measurement.", flag_values=FLAGS, lower_bound=1)
flags.DEFINE_integer("image_size", 224, "Edge in pixels of what comes out.", flag_values=FLAGS)
flags.DEFINE_integer("batch_size", 64, "Images a batch.", flag_values=FLAGS, lower_bound=1)
flags.DEFINE_integer("repeats", 5, "Measurements of each, in turns.", flag_values=FLAGS, lower_bound=1)


@dataclasses.dataclass(frozen=True)
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


def bare(dataset: data.Dataset, images: int, batch_size: int) -> Callable[[], int]:
    """Decode and crop, resize, batch; the function returns how many images came out."""
    files = tf.stack([dataset.source.read(r)[0] for r in dataset.source.train(np.random.default_rng(SEED))])
    windows = _windows(files, images)
    size = [dataset.image_size] * 2

    def example(index, window):
        crop = tf.image.decode_and_crop_jpeg(files[index % len(files)], window, channels=3)
        return tf.image.resize(crop, size)

    def run() -> int:
        crops = tf.data.Dataset.from_tensor_slices((np.arange(images), windows))
        crops = crops.map(example, num_parallel_calls=tf.data.AUTOTUNE)
        batches = crops.batch(batch_size, drop_remainder=True, num_parallel_calls=tf.data.AUTOTUNE)
        return _consume(batches.prefetch(tf.data.AUTOTUNE).map(lambda batch: (batch, 0)))

    return run


def _windows(files: tf.Tensor, images: int) -> np.ndarray:
    """A crop of each image in turn, int32 [images, 4]."""
    shapes = [tf.image.extract_jpeg_shape(file) for file in files]
    numbers = tf.random.stateless_uniform([images, 2 * augmentation.ATTEMPTS + 2], [SEED, SEED])
    return np.stack(
        [augmentation.crop_window(shapes[i % len(shapes)], chance) for i, chance in enumerate(numbers)]
    )


def _consume(batches: tf.data.Dataset) -> int:
    return sum(len(images) for images, _ in batches)


def run(flag_values: flags.FlagValues, positional: list[str]) -> None:
    """Measure and print."""
    cli.no_more(positional)
    images, batch_size = flag_values.images, flag_values.batch_size
    if batch_size > images:
        raise UserError(f"The batch size must be from 1 to {images}, the images. Received: {batch_size}.")
    dataset = data.open(DATASET, flag_values.data_dir, flag_values.image_size)
    functions = {
        "bare": bare(dataset, images, batch_size),
        "training": training(dataset, images, batch_size),
    }
    counts = {name: function() for name, function in functions.items()}
    measured = timing.interleaved(functions, flag_values.repeats)
    for name, count in counts.items():
        print(f"{name:8} {count / measured.median(name):8.1f} images/s (median of {flag_values.repeats})")
    print(f"training reaches {100 / measured.ratio('training'):.1f} % of the bare pipeline's throughput")
    print(f"A/A ratio of the bare pipeline: {measured.aa_ratio:.3f}")
    print(
        f"{dataset.image_size} pixels, {counts['bare']} images in batches of {batch_size}: {timing.machine()}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see `bnn_keras.cli.run` for the status."""
    return cli.run(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
