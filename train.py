"""Train a network of the zoo.

python train.py                                       MeliusNet-29 on scikit-learn's digits
python train.py --model=meliusnet22 --dataset=cifar10 --data_dir=DIR

The same command again resumes a run that was stopped. Flags that are not given follow the recipe:
the paper's on ImageNet, one that suits the data elsewhere.
"""

import sys
from collections.abc import Sequence
from functools import partial

from absl import flags

from bnn_keras import cli, data, recipe, run_folder, training
from zoo import registry

FLAGS = flags.FlagValues()
_string = partial(flags.DEFINE_string, flag_values=FLAGS)
_integer = partial(flags.DEFINE_integer, flag_values=FLAGS)
_number = partial(flags.DEFINE_float, flag_values=FLAGS)
_switch = partial(flags.DEFINE_boolean, flag_values=FLAGS)

_string("model", "meliusnet29", "network; --list_models names them")
_string("dataset", "digits", "digits, folder:PATH or a set of TensorFlow Datasets")
_string("data_dir", None, "where TensorFlow Datasets keeps its sets")
_integer("epochs", None, "passes over the training images; the recipe's if not given")
_integer("batch_size", None, "images a step; the recipe's if not given")
_number("learning_rate", None, "its peak; the recipe's if not given")
_string("optimizer", None, "radam, adam or sgd; the recipe's if not given")
_integer("image_size", None, "edge in pixels; the data set's if not given")
_string("stem", None, "grouped, conv7x7 or thumbnail; by data set and image size if not given")
_integer("seed", 0, "of weights, order and augmentation")
_string("output_dir", None, "run folder; runs/MODEL-DATASET if not given")
_string("weights", None, "checkpoint to start from; other classes get a new head")
_integer("train_examples", None, "train on no more than so many images")
_switch("strict", False, "refuse a folder with broken images instead of skipping them")
_integer("checkpoint_steps", training.CHECKPOINT_STEPS, "steps between checkpoints")
_switch("list_models", False, "print the names of the networks")


def train(values: flags.FlagValues, positional: list[str]) -> None:
    cli.no_more(positional)
    if values.list_models:
        print("\n".join(registry.list_models()))
        return
    paper = registry.recipe(values.model)
    given = {key: values[key].value for key in ("epochs", "batch_size", "learning_rate", "optimizer")}
    images = data.open(
        values.dataset, values.data_dir, values.image_size, values.train_examples, values.strict
    )
    stem = values.stem or recipe.choose_stem(images.kind, images.image_size)
    overrides: dict = {} if stem is None else {"stem": stem}
    training.make_deterministic(values.seed)
    size, classes = images.image_size, len(images.class_names)
    training.train(
        registry.build(
            values.model, (size, size, 3), classes, normalization=images.normalization, **overrides
        ),
        images,
        recipe.choose(images.name, images.kind, paper).override(**given),
        values.output_dir or run_folder.default(values.model, images.name),
        seed=values.seed,
        settings={"model": values.model, "overrides": overrides}
        | {key: values[key].value for key in ("data_dir", "train_examples", "strict")},
        weights=values.weights,
        checkpoint_steps=values.checkpoint_steps,
    )


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(train, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
