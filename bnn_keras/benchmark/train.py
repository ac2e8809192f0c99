"""Time of a training step with the network's own optimizer, and what could make it shorter.

python -m bnn_keras.benchmark train --model=bnext_t --batch_size=16 --jit --mixed_precision

The first step has its batch in memory; the second one takes it from the data pipeline, so that the
difference is the most that caching or prefetching could still bring.
"""

import itertools
import resource
from collections.abc import Callable, Iterator, Sequence

import larq as lq
import tensorflow as tf
from absl import flags

from bnn_keras import cli, data
from bnn_keras.benchmark import timing
from bnn_keras.run import compiled, plain_trainer
from zoo import registry

WARM_UP = 3  # steps; the first one traces
BINARY = (lq.layers.QuantConv2D, lq.layers.QuantDense, lq.layers.QuantDepthwiseConv2D)


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
    for step in contestants.values():
        for _ in range(WARM_UP):
            step()
    times = timing.interleaved(contestants, values.repeats)
    print(
        f"{values.model} at {values.image_size} pixels, {values.batch_size} images a step, "
        f"{registry.recipe(values.model).optimizer}, {values.repeats} of each, interleaved; medians"
    )
    for name in contestants:
        print(f"{name}: {1000 * times.median(name):.1f} ms, {times.ratio(name):.3f} of the first")
    print(f"A/A ratio of the first: {times.aa_ratio:.3f}")
    # Linux counts in KiB. Every contestant has a network, so for the step's own ask for no others.
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")
    print(timing.machine())


def _epochs(dataset: data.Dataset, batch_size: int) -> Iterator:
    for epoch in itertools.count():
        yield from dataset.train(batch_size, epoch, seed=0)


def _step(
    values: flags.FlagValues, dataset: data.Dataset, batches: Iterator, jit: bool = False, lower: bool = False
) -> Callable[[], object]:
    shape, classes = (values.image_size, values.image_size, 3), len(dataset.class_names)
    network = registry.build(values.model, shape, classes)
    if lower:
        network = in_bfloat16(network)
    recipe = registry.recipe(values.model).override(batch_size=values.batch_size)
    trainer = compiled(plain_trainer(network), recipe, dataset.steps_per_epoch(values.batch_size), jit)
    return lambda: trainer.train_on_batch(*next(batches))


def in_bfloat16(network: tf.keras.Model) -> tf.keras.Model:
    """A twin that computes its float layers in bfloat16, with variables in float32.

    Binary convolutions stay in float32, as sums of signs are rounded beyond 256, and so do the logits.
    """

    def clone(layer):
        config = layer.get_config()
        if layer.name not in network.output_names and not isinstance(layer, BINARY):
            config["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(config)

    return tf.keras.models.clone_model(network, clone_function=clone)


def main(argv: Sequence[str] | None = None) -> int:
    """The door."""
    return cli.run(compare, flag_values(), __doc__, argv)
