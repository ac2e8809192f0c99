"""Time a conversion without its verification, beside `lce.convert_keras_model`.

bnn benchmark convert [flags]
"""

from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.benchmark import timing
from bnn_keras.cli.flags import COUNT, Flag
from bnn_keras.settings.kinds import Text

if TYPE_CHECKING:
    import tensorflow as tf

THEIRS, OURS = "lce.convert_keras_model", "bnn_keras.deploy.to_flatbuffer"
FLAGS = [
    Flag("model", Text("a name of the zoo"), "network", "meliusnet59"),
    Flag("image_size", COUNT, "edge in pixels", 224),
    Flag("repeats", COUNT, "conversions of each, in turns", 3),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Convert with both in turns and print the medians."""
    import larq_compute_engine as lce

    import zoo
    from bnn_keras import deploy

    flags.no_more(positional)
    model = zoo.build(values.model, (values.image_size, values.image_size, 3))
    randomise_statistics(model)
    contestants = {THEIRS: lambda: lce.convert_keras_model(model), OURS: lambda: deploy.to_flatbuffer(model)}
    times = timing.interleaved(contestants, values.repeats)
    print(f"{values.model} at {values.image_size} pixels, {values.repeats} of each, interleaved; medians")
    for name in contestants:
        print(f"{name}: {times.median(name):.1f} s, {times.ratio(name):.2f} of the first")
    print(f"A/A ratio of the first: {times.aa_ratio:.2f}")
    print(timing.machine())


def randomise_statistics(model: "tf.keras.Model", seed: int = 0) -> None:
    """Give every BatchNorm statistics as after training; shifts of zero would vanish in the conversion."""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.moving_mean.assign(random.normal(0, 0.3, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.5, 1.5, layer.moving_variance.shape))
            if layer.center:
                layer.beta.assign(random.normal(0, 0.3, layer.beta.shape))
