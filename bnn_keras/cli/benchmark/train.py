"""Time of a training step with the network's own optimizer, and what could make it shorter.

python -m bnn_keras benchmark train --model=bnext_t --batch_size=16 --jit --mixed_precision

The first step has its batch in memory; the second one takes it from the data pipeline, so that the
difference is the most that caching or prefetching could still bring.
"""

import itertools
import resource
from collections.abc import Callable, Iterator, Sequence

from absl import flags

from bnn_keras import data
from bnn_keras.cli import command as cli
from bnn_keras.cli.benchmark import timing
from bnn_keras.distillation.teacher import in_precision
from bnn_keras.training.loop import compiled, plain_trainer
from zoo import registry


def flag_values() -> flags.FlagValues:
    """The flags, with their defaults."""
    values = timing.step_flags("meliusnet22")
    flags.DEFINE_string("dataset", "digits", "as in train.py", flag_values=values)
    flags.DEFINE_string("data_dir", None, "where TensorFlow Datasets keeps its sets", flag_values=values)
    flags.DEFINE_boolean("jit", False, "also compiled by XLA", flag_values=values)
    meaning = "also with the float layers in bfloat16"
    flags.DEFINE_boolean("mixed_precision", False, meaning, flag_values=values)
    return values


def compare(values: flags.FlagValues, positional: list[str]) -> None:
    """Train in turns and print the medians."""
    cli.no_more(positional)
    dataset = data.open(values.dataset, values.data_dir, values.image_size)
    epochs = _epochs(dataset, values.batch_size)
    batches = itertools.repeat(next(epochs))
    contestants = {
        "step": _step(values, dataset, batches),
        "step with its input": _step(values, dataset, epochs),
    }
    if values.jit:
        contestants["step with jit"] = _step(values, dataset, batches, jit=True)
    if values.mixed_precision:
        contestants["step with mixed precision"] = _step(values, dataset, batches, lower=True)
    times = timing.interleaved(contestants, values.repeats, timing.WARM_UP)
    print(
        f"{values.model} at {values.image_size} pixels, {values.batch_size} images a step, "
        f"{registry.recipe(values.model).optimizer}, {values.repeats} of each, interleaved; medians"
    )
    timing.print_ratios(times)
    # Linux counts in KiB. Every contestant has a network, so for the step's own ask for no others.
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")


def _epochs(dataset: data.Dataset, batch_size: int) -> Iterator:
    for epoch in itertools.count():
        yield from dataset.train(batch_size, epoch, seed=0)


def _step(
    values: flags.FlagValues, dataset: data.Dataset, batches: Iterator, jit: bool = False, lower: bool = False
) -> Callable[[], object]:
    shape, classes = (values.image_size, values.image_size, 3), len(dataset.class_names)
    network = registry.build(values.model, shape, classes)
    if lower:
        network = in_precision(network, "bfloat16")
    recipe = registry.recipe(values.model).override(batch_size=values.batch_size)
    trainer = compiled(plain_trainer(network), recipe, dataset.steps_per_epoch(values.batch_size), jit)
    return lambda: trainer.train_on_batch(*next(batches))


def main(argv: Sequence[str] | None = None) -> int:
    """The door."""
    return cli.run(compare, flag_values(), __doc__, argv)
