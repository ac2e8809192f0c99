"""Train a network of the zoo.

python train.py                                       MeliusNet-29 on scikit-learn's digits
python train.py --model=meliusnet22 --dataset=cifar10 --data_dir=DIR

The same command again resumes a run that was stopped. Flags that are not given follow the recipe.
"""

import dataclasses
import sys
from collections.abc import Sequence
from functools import partial

from absl import flags

from bnn_keras import data, distillation, runs, training
from bnn_keras.cli import augmentation_flags, distillation_flags
from bnn_keras.cli import command as cli
from bnn_keras.settings import recipe
from bnn_keras.training import distribution, seeds
from zoo import recipes, registry

FLAGS = flags.FlagValues()
_string = partial(flags.DEFINE_string, flag_values=FLAGS)
_integer = partial(flags.DEFINE_integer, flag_values=FLAGS)
_switch = partial(flags.DEFINE_boolean, flag_values=FLAGS)

_string("model", "meliusnet29", "network; --list_models names them")
_string("dataset", "digits", "digits, folder:PATH or a set of TensorFlow Datasets")
_string("data_dir", None, "where TensorFlow Datasets keeps its sets")
_string("recipe", None, "NAME (--list_recipes names them) or FILE.toml; the network's own if not given")
recipe.define_flags(FLAGS)
distillation_flags.define_flags(FLAGS)
distribution.define_flags(FLAGS)
_integer("image_size", None, "edge in pixels; the data set's if not given")
_string("stem", None, "grouped, conv7x7 or thumbnail; by data set and image size if not given")
seeds.define_flags(FLAGS)
_string("output_dir", None, "run folder; runs/MODEL-DATASET if not given")
_string("weights", None, "checkpoint to start from; other classes get a new head")
_integer("train_examples", None, "train on no more than so many images")
_switch("strict", False, "refuse a folder with broken images instead of skipping them")
_integer("checkpoint_steps", training.CHECKPOINT_STEPS, "steps between checkpoints")
_switch("list_models", False, "print the names of the networks")
_switch("list_recipes", False, "print the names of the recipes")


def train(values: flags.FlagValues, positional: list[str]) -> None:
    cli.no_more(positional)
    if values.list_models or values.list_recipes:
        print("\n".join(registry.list_models() if values.list_models else recipes.list_recipes()))
        return
    strategy = distribution.strategy(values.strategy)  # before any operation
    # Unknown names and wrong values are refused before the data are opened.
    registry.recipe(values.model, chosen=values.recipe)
    augmentation_flags.given(values)
    images = data.open(
        values.dataset, values.data_dir, values.image_size, values.train_examples, values.strict
    )
    chosen = recipe.resolve(values, registry.recipe(values.model, images.name, images.kind, values.recipe))
    images = dataclasses.replace(images, augmentation=chosen.augmentation)
    folder = values.output_dir or runs.default(values.model, images.name)
    one = partial(train_once, values, strategy, images, chosen)
    seeds.run(one, values.seed, values.seeds, folder, distribution.is_chief(strategy))


def train_once(values, strategy, images: data.Dataset, chosen: recipe.Recipe, seed: int, folder) -> None:
    stem = values.stem or registry.default_stem(values.model, images.kind, images.image_size)
    changes: dict = {"normalization": registry.normalization_of(values.model, usual=images.normalization)}
    changes |= {} if stem is None else {"stem": stem}
    training.make_deterministic(seed)
    shape, classes = (images.image_size, images.image_size, 3), len(images.class_names)
    with strategy.scope():
        network = registry.build(values.model, shape, classes, **changes)
    said = {key: values[key].value for key in ("model", "data_dir", "train_examples", "strict")}
    said["overrides"] = changes
    options = {key: values[key].value for key in ("weights", "checkpoint_steps", *distribution.OPTIONS)}
    distillation.train(
        distillation_flags.given(values),
        registry,
        network,
        images,
        chosen,
        folder,
        seed=seed,
        settings=said,
        **options,
    )


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(train, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
