"""Time a training step with the flips of binary weights counted, beside the same step without.

bnn benchmark flips [flags]
"""

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.benchmark import timing

WITHOUT, WITH = "without", "with flips counted"
# An epoch of ImageNet in batches of 32, whose counts take 16 bits, as those of most trainings do at most.
STEPS_PER_EPOCH = 40_000
FLAGS = timing.step_flags("meliusnet22")


def run(values: FlagValues, positional: list[str]) -> None:
    """Train one network with and without counting in turns and print the medians."""
    import zoo
    from bnn_keras.cli.benchmark.steps import CLASSES, noise, training_step
    from bnn_keras.training.flips import FlipCounter

    flags.no_more(positional)
    shape = (values.image_size, values.image_size, 3)
    model = zoo.build(values.model, shape, CLASSES)
    step = training_step(model, *noise(shape, values.batch_size))
    counter = FlipCounter(model, STEPS_PER_EPOCH)

    def step_and_count() -> None:
        step()
        counter.update()

    contestants = {WITHOUT: step, WITH: step_and_count}
    times = timing.interleaved(contestants, values.repeats, timing.WARM_UP)
    print(
        f"{values.model} at {values.image_size} pixels, a step of {values.batch_size} images with Adam, "
        f"{values.repeats} of each, interleaved; medians"
    )
    timing.print_ratios(times)
