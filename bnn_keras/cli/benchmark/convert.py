"""Time of a conversion without verification, beside `lce.convert_keras_model`."""

from collections.abc import Sequence

import larq_compute_engine as lce
import numpy as np
import tensorflow as tf
from absl import flags

from bnn_keras import deploy
from bnn_keras.cli import command as cli
from bnn_keras.cli.benchmark import timing
from zoo import registry

THEIRS, OURS = "lce.convert_keras_model", "bnn_keras.deploy.to_flatbuffer"


def flag_values() -> flags.FlagValues:
    """The flags, with their defaults."""
    values = flags.FlagValues()
    flags.DEFINE_string("model", "meliusnet59", "Network of the zoo.", flag_values=values)
    flags.DEFINE_integer("image_size", 224, "Edge in pixels.", flag_values=values)
    flags.DEFINE_integer("repeats", 3, "Conversions of each, in turns.", flag_values=values, lower_bound=1)
    return values


def compare(values: flags.FlagValues, positional: list[str]) -> None:
    """Convert with both in turns and print the medians."""
    cli.no_more(positional)
    model = registry.build(values.model, (values.image_size, values.image_size, 3))
    randomise_statistics(model)
    contestants = {THEIRS: lambda: lce.convert_keras_model(model), OURS: lambda: deploy.to_flatbuffer(model)}
    times = timing.interleaved(contestants, values.repeats)
    print(f"{values.model} at {values.image_size} pixels, {values.repeats} of each, interleaved; medians")
    for name in contestants:
        print(f"{name}: {times.median(name):.1f} s, {times.ratio(name):.2f} of the first")
    print(f"A/A ratio of the first: {times.aa_ratio:.2f}")
    print(timing.machine())


def randomise_statistics(model: tf.keras.Model, seed: int = 0) -> None:
    """Give every BatchNorm statistics as after training: zero shifts would vanish in conversion."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.moving_mean.assign(random.normal(0, 0.3, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.5, 1.5, layer.moving_variance.shape))
            if layer.center:
                layer.beta.assign(random.normal(0, 0.3, layer.beta.shape))


def main(argv: Sequence[str] | None = None) -> int:
    """The door."""
    return cli.run(compare, flag_values(), __doc__, argv)
