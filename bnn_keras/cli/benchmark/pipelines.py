"""The training pipeline of ImageNet, and the least that any such pipeline must do."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from bnn_keras import data
from bnn_keras.data.augment import crops
from bnn_keras.data.sources import catalog
from bnn_keras.data.sources.images import PARALLEL_CALLS
from bnn_keras.data.sources.source import Source
from bnn_keras.settings.augmentation import STANDARDS

SEED = 1


@dataclasses.dataclass
class Repeated:
    """A source whose training set comes several times an epoch, every time with other crops."""

    source: Source
    num_train: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        """The records of all of them."""
        return self.source.train(random).repeat().take(self.num_train)


def training(dataset: data.Dataset, images: int, batch_size: int) -> Callable[[], int]:
    """Run the training pipeline over `images` images; the function returns how many came out."""
    longer = dataclasses.replace(dataset, source=Repeated(dataset.source, images))
    return lambda: _consume(longer.train(batch_size, epoch=0, seed=SEED))


def bare(dataset: data.Dataset, data_dir: str, images: int, batch_size: int) -> Callable[[], int]:
    """Read, decode and crop, resize, batch; the function returns how many images came out."""
    records = tf.data.TFRecordDataset(catalog.Catalog(dataset.name, data_dir).train_files)
    windows = _windows([dataset.source.read(record)[0] for record in records], images)
    size = [dataset.image_size] * 2

    def example(record: tf.Tensor, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
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
