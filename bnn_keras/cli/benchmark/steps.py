"""What the benchmarks of training steps share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

CLASSES = 10


def noise(shape: tuple[int, ...], batch_size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A batch of random images, float32 [batch_size, *shape], and labels, int64 [batch_size]."""
    random = np.random.default_rng(0)
    images = tf.constant(random.uniform(0, 255, (batch_size, *shape)), tf.float32)
    return images, tf.constant(random.integers(0, CLASSES, batch_size))


def training_step(model: tf.keras.Model, inputs: Any, labels: tf.Tensor) -> Callable[[], object]:
    """A step with Adam on one batch, as a function to be called again and again."""
    model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return lambda: model.train_on_batch(inputs, labels)
