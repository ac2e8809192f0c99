"""Time of a training step of MeliusNet-22, beside larq-zoo's network in the same process."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from absl import flags

from bnn_keras.cli import command as cli
from bnn_keras.cli.benchmark import timing
from zoo import registry

THEIRS, OURS = "larq-zoo", "bnn_keras"
CLASSES = 10


def compare(values: flags.FlagValues, positional: list[str]) -> None:
    """Train both in turns on the same batch and print the medians."""
    from larq_zoo.literature import MeliusNet22

    cli.no_more(positional)
    shape = (values.image_size, values.image_size, 3)
    batch = noise(shape, values.batch_size)
    theirs = MeliusNet22(input_shape=shape, weights=None, num_classes=CLASSES)
    # Both to their logits, with the same optimizer and loss.
    theirs = tf.keras.Model(theirs.inputs, theirs.get_layer("head_dense").output)
    contestants = {
        THEIRS: training_step(theirs, *batch),
        OURS: training_step(registry.build("meliusnet22", shape, CLASSES), *batch),
    }
    times = timing.interleaved(contestants, values.repeats, timing.WARM_UP)
    print(
        f"MeliusNet-22 at {values.image_size} pixels, a step of {values.batch_size} images with Adam, "
        f"{values.repeats} of each, interleaved; medians"
    )
    timing.print_ratios(times)


def noise(shape: tuple[int, ...], batch_size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A batch of images and labels."""
    random = np.random.default_rng(0)
    images = tf.constant(random.uniform(0, 255, (batch_size, *shape)), tf.float32)
    return images, tf.constant(random.integers(0, CLASSES, batch_size))


def training_step(model: tf.keras.Model, inputs, labels: tf.Tensor) -> Callable[[], object]:
    """A step with Adam on one batch, as a function to be called again and again."""
    model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return lambda: model.train_on_batch(inputs, labels)


def main(argv: Sequence[str] | None = None) -> int:
    """The door."""
    return cli.run(compare, timing.step_flags(), __doc__, argv)
