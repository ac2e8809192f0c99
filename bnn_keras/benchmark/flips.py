"""Time of a training step with the flips of binary weights counted, beside the same step without."""

from collections.abc import Sequence

from absl import flags

from bnn_keras import cli
from bnn_keras.benchmark import timing
from bnn_keras.benchmark.step import CLASSES, WARM_UP, training_step
from bnn_keras.flips import FlipCounter
from zoo import registry

WITHOUT, WITH = "without", "with flips counted"
# An epoch of ImageNet in batches of 32: counts of 16 bits, the most that a usual training needs.
STEPS_PER_EPOCH = 40_000


def flag_values() -> flags.FlagValues:
    """The flags, with their defaults."""
    values = flags.FlagValues()
    flags.DEFINE_string("model", "meliusnet22", "network of the zoo", flag_values=values)
    for name, default, meaning in (
        ("image_size", 64, "edge in pixels"),
        ("batch_size", 32, "images a step"),
        ("repeats", 200, "steps of each, in turns"),
    ):
        flags.DEFINE_integer(name, default, meaning, flag_values=values, lower_bound=1)
    return values


def compare(values: flags.FlagValues, positional: list[str]) -> None:
    """Train one network with and without counting in turns and print the medians."""
    cli.no_more(positional)
    shape = (values.image_size, values.image_size, 3)
    model = registry.build(values.model, shape, CLASSES)
    step, counter = training_step(model, shape, values.batch_size), FlipCounter(model, STEPS_PER_EPOCH)

    def step_and_count():
        step()
        counter.update()

    for _ in range(WARM_UP):
        step_and_count()
    times = timing.interleaved({WITHOUT: step, WITH: step_and_count}, values.repeats)
    print(
        f"{values.model} at {values.image_size} pixels, a step of {values.batch_size} images with Adam, "
        f"{values.repeats} of each, interleaved; medians"
    )
    for name in times.seconds:
        print(f"{name}: {1000 * times.median(name):.1f} ms, {times.ratio(name):.3f} of the first")
    print(f"A/A ratio of the first: {times.aa_ratio:.3f}")
    print(timing.machine())


def main(argv: Sequence[str] | None = None) -> int:
    """The door."""
    return cli.run(compare, flag_values(), __doc__, argv)
