"""Time a training step of MeliusNet-22, beside larq-zoo's network in the same process.

bnn benchmark step [flags]
"""

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.benchmark import timing

THEIRS, OURS = "larq-zoo", "bnn_keras"
FLAGS = timing.step_flags()


def run(values: FlagValues, positional: list[str]) -> None:
    """Train both in turns on the same batch and print the medians."""
    import tensorflow as tf
    from larq_zoo.literature import MeliusNet22

    import zoo
    from bnn_keras.cli.benchmark.steps import CLASSES, noise, training_step

    flags.no_more(positional)
    shape = (values.image_size, values.image_size, 3)
    batch = noise(shape, values.batch_size)
    theirs = MeliusNet22(input_shape=shape, weights=None, num_classes=CLASSES)
    # Both end with their logits, and have the same optimizer and loss.
    theirs = tf.keras.Model(theirs.inputs, theirs.get_layer("head_dense").output)
    contestants = {
        THEIRS: training_step(theirs, *batch),
        OURS: training_step(zoo.build("meliusnet22", shape, CLASSES), *batch),
    }
    times = timing.interleaved(contestants, values.repeats, timing.WARM_UP)
    print(
        f"MeliusNet-22 at {values.image_size} pixels, a step of {values.batch_size} images with Adam, "
        f"{values.repeats} of each, interleaved; medians"
    )
    timing.print_ratios(times)
