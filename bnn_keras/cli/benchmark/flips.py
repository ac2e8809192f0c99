"""Time of a training step with the flips of binary weights counted, beside the same step without."""

from collections.abc import Sequence

from absl import flags

from bnn_keras.cli import command as cli
from bnn_keras.cli.benchmark import timing
from bnn_keras.cli.benchmark.step import CLASSES, noise, training_step
from bnn_keras.training.flips import FlipCounter
from zoo import registry

WITHOUT, WITH = "without", "with flips counted"
# An epoch of ImageNet in batches of 32: counts of 16 bits, the most that a usual training needs.
STEPS_PER_EPOCH = 40_000


def compare(values: flags.FlagValues, positional: list[str]) -> None:
    """Train one network with and without counting in turns and print the medians."""
    cli.no_more(positional)
    shape = (values.image_size, values.image_size, 3)
    model = registry.build(values.model, shape, CLASSES)
    step = training_step(model, *noise(shape, values.batch_size))
    counter = FlipCounter(model, STEPS_PER_EPOCH)

    def step_and_count():
        step()
        counter.update()

    contestants = {WITHOUT: step, WITH: step_and_count}
    times = timing.interleaved(contestants, values.repeats, timing.WARM_UP)
    print(
        f"{values.model} at {values.image_size} pixels, a step of {values.batch_size} images with Adam, "
        f"{values.repeats} of each, interleaved; medians"
    )
    timing.print_ratios(times)


def main(argv: Sequence[str] | None = None) -> int:
    """The door."""
    return cli.run(compare, timing.step_flags("meliusnet22"), __doc__, argv)
