"""Time of a training step of MeliusNet-22, beside larq-zoo's network in the same process."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from absl import flags

from bnn_keras import cli
from bnn_keras.benchmark import timing
from zoo import registry

THEIRS, OURS = "larq-zoo", "bnn_keras"
CLASSES = 10
WARM_UP = 3  # steps; the first one traces


def flag_values() -> flags.FlagValues:
    """The flags, with their defaults."""
    values = flags.FlagValues()
    for name, default, meaning in (
        ("image_size", 64, "Edge in pixels."),
        ("batch_size", 32, "Images a step."),
        ("repeats", 200, "Steps of each, in turns."),
    ):
        flags.DEFINE_integer(name, default, meaning, flag_values=values, lower_bound=1)
    return values


def compare(values: flags.FlagValues, positional: list[str]) -> None:
    """Train both in turns on the same batch and print the medians."""
    from larq_zoo.literature import MeliusNet22

    cli.no_more(positional)
    shape = (values.image_size, values.image_size, 3)
    theirs = MeliusNet22(input_shape=shape, weights=None, num_classes=CLASSES)
    # Both to their logits, with the same optimizer and loss.
    theirs = tf.keras.Model(theirs.inputs, theirs.get_layer("head_dense").output)
    contestants = {
        THEIRS: training_step(theirs, shape, values.batch_size),
        OURS: training_step(registry.build("meliusnet22", shape, CLASSES), shape, values.batch_size),
    }
    for step in contestants.values():
        for _ in range(WARM_UP):
            step()
    times = timing.interleaved(contestants, values.repeats)
    print(
        f"MeliusNet-22 at {values.image_size} pixels, a step of {values.batch_size} images with Adam, "
        f"{values.repeats} of each, interleaved; medians"
    )
    for name in contestants:
        print(f"{name}: {1000 * times.median(name):.0f} ms, {times.ratio(name):.3f} of the first")
    print(f"A/A ratio of the first: {times.aa_ratio:.3f}")
    print(timing.machine())


def training_step(model: tf.keras.Model, shape: tuple[int, ...], batch_size: int) -> Callable[[], object]:
    """A step with Adam on a batch of noise, as a function to be called again and again."""
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    random = np.random.default_rng(0)
    images = tf.constant(random.uniform(0, 255, (batch_size, *shape)), tf.float32)
    labels = tf.constant(random.integers(0, CLASSES, batch_size))
    return lambda: model.train_on_batch(images, labels)


def main(argv: Sequence[str] | None = None) -> int:
    """The door."""
    return cli.run(compare, flag_values(), __doc__, argv)
