"""Time a training step with the network's own optimizer, and what could make it shorter.

bnn benchmark train --model=bnext_t --batch_size=16 --jit --mixed_precision

The first step has its batch in memory; the second one takes it from the data pipeline. The difference is
the most that caching or prefetching could still save.
"""

import itertools
import resource
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.benchmark import timing
from bnn_keras.cli.flags import DATA, DATA_DIR, SWITCH, Flag

if TYPE_CHECKING:
    from bnn_keras.data import Dataset

FLAGS = [
    *timing.step_flags("meliusnet22"),
    Flag("dataset", DATA, "what is trained on", "digits"),
    DATA_DIR,
    Flag("jit", SWITCH, "also measure the step compiled by XLA", False),
    Flag("mixed_precision", SWITCH, "also measure the step with the float layers in bfloat16", False),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Train in turns and print the medians."""
    import zoo
    from bnn_keras import data

    flags.no_more(positional)
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
        f"{zoo.recipe(values.model).optimizer}, {values.repeats} of each, interleaved; medians"
    )
    timing.print_ratios(times)
    # Linux counts in KiB. Each contestant has a network of its own: measure one alone for its memory.
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")


def _epochs(dataset: "Dataset", batch_size: int) -> Iterator:
    for epoch in itertools.count():
        yield from dataset.train(batch_size, epoch, seed=0)


def _step(
    values: FlagValues, dataset: "Dataset", batches: Iterator, jit: bool = False, lower: bool = False
) -> Callable[[], object]:
    import zoo
    from bnn_keras.distillation.teacher import in_precision
    from bnn_keras.training.trainer import compiled, plain_trainer

    shape, classes = (values.image_size, values.image_size, 3), len(dataset.class_names)
    network = zoo.build(values.model, shape, classes)
    if lower:
        network = in_precision(network, "bfloat16")
    recipe = zoo.recipe(values.model).override(batch_size=values.batch_size)
    trainer = compiled(plain_trainer(network), recipe, dataset.steps_per_epoch(values.batch_size), jit)
    return lambda: trainer.train_on_batch(*next(batches))
