"""Train a network of the zoo.

bnn train                          MeliusNet-29 on scikit-learn's digits
bnn train --model=meliusnet22 --dataset=cifar10 --data_dir=DIR

The same command resumes a run that was stopped, and so does `bnn train --resume=RUN`, which reads all
settings from the run; a larger --epochs extends it. Settings that are not given are those of the recipe.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras import status
from bnn_keras.cli import flags, interruption
from bnn_keras.cli.flags import COUNT, DATA, DATA_DIR, PATH, SWITCH, Flag
from bnn_keras.cli.network import GENOTYPE, SET, parse_settings
from bnn_keras.errors import UserError
from bnn_keras.settings.address import Address
from bnn_keras.settings.augmentation import EDGE, Augmentation
from bnn_keras.settings.checkpoint import IMAGENET
from bnn_keras.settings.checkpoint import STEPS as CHECKPOINT_STEPS
from bnn_keras.settings.distillation import DistillationSettings
from bnn_keras.settings.kinds import SEED, Choice, Number, Optional, Text
from bnn_keras.settings.recipe import FIELDS as RECIPE_FIELDS
from bnn_keras.settings.recipe import OWN_FIELDS, Recipe

if TYPE_CHECKING:
    import tensorflow as tf

    from bnn_keras.data import Dataset

RECIPE_KEYS = tuple(field.name for field in RECIPE_FIELDS)
AUGMENTATION_KEYS = tuple(field.name for field in dataclasses.fields(Augmentation))
DISTILLATION_KEYS = tuple(field.name for field in dataclasses.fields(DistillationSettings))
# What a search has too.
RECIPE_VALUES: tuple[str | Flag, ...] = (
    Flag("scale_lr", SWITCH, "change learning rates in proportion to --batch_size", False),
    *flags.of_fields(OWN_FIELDS, defaults=False),
    "Augmentation (the recipe's own values if not given)",
    *flags.of_fields(dataclasses.fields(Augmentation), defaults=False),
)
PACE = (
    Flag("checkpoint_steps", COUNT, "steps between checkpoints", CHECKPOINT_STEPS),
    Flag("log_seconds", Number(0), "between lines on progress; 0 for every step", status.LOG_SECONDS),
)
FLAGS = flags.in_groups(
    "Network",
    Flag("model", Text("--list_models names them"), "network", "meliusnet29"),
    SET,
    GENOTYPE,
    Flag("stem", Optional(Text("the network's settings name them")), "first layers; by data and image size"),
    Flag("weights", PATH, "checkpoint to start from, or imagenet; other classes get a new head"),
    Flag("list_models", SWITCH, "print the names of the networks, and which have published weights", False),
    "Data",
    Flag("dataset", DATA, "what is trained on", "digits"),
    DATA_DIR,
    Flag("image_size", Optional(EDGE), "edge in pixels; the data set's if not given"),
    Flag("train_examples", Optional(COUNT), "train on no more than so many images"),
    Flag("strict", SWITCH, "refuse a folder with broken images instead of skipping them", False),
    Flag("data_service", Address(), "tf.data service that decodes; bnn data-service starts one"),
    "Recipe (the recipe's own values if not given)",
    Flag("recipe", Text("NAME, --list_recipes names them, or FILE.toml"), "the network's own if not given"),
    Flag("list_recipes", SWITCH, "print the names of the recipes", False),
    *RECIPE_VALUES,
    "Distillation",
    *flags.of_fields(dataclasses.fields(DistillationSettings)),
    "Run",
    Flag("resume", PATH, "run folder to go on with; the other settings are the run's"),
    Flag("output_dir", PATH, "run folder; runs/MODEL-DATASET if not given"),
    Flag("seed", SEED, "of weights, order and augmentation", 0),
    Flag("seeds", Optional(COUNT), "train so many times, from --seed up; prints mean and deviation"),
    *PACE,
    Flag("strategy", Optional(Choice(("none", "mirrored", "multiworker"))), "of tf.distribute"),
    Flag("sync_batch_norm", SWITCH, "BatchNorm over the images of all replicas, not each one's own", False),
)


def run(values: FlagValues, positional: list[str]) -> None:
    """Train once for each seed."""
    from bnn_keras import data, runs
    from bnn_keras.cli import resumption
    from bnn_keras.training import distribution, seeds
    from zoo import recipes, registry

    flags.no_more(positional)
    if values.list_models or values.list_recipes:
        print("\n".join(_models() if values.list_models else recipes.list_recipes()))
        return
    strategy = distribution.strategy_of(values.strategy)  # before any operation
    recorded = resumption.resumed(values) if values.resume else None
    # Unknown names and values that are not valid are refused before the data are opened.
    registry.recipe(values.model, chosen=values.recipe)
    Augmentation(**flags.given(values, AUGMENTATION_KEYS))
    lessons = DistillationSettings(**{key: values[key].value for key in DISTILLATION_KEYS})
    settings = parse_settings(values.model, values.set, values.genotype)
    settings |= {"stem": values.stem} if values.stem else {}
    if values.weights == IMAGENET:
        settings = registry.pretrained_settings(values.model, settings)
    images = data.open(
        values.dataset, values.data_dir, values.image_size, values.train_examples, values.strict
    )
    if recorded is None:
        recipe = recipe_of(values, registry.recipe(values.model, images.name, images.kind, values.recipe))
        overrides = _overrides(values.model, images, settings)
    else:
        recipe, overrides = recorded.recipe, recorded.overrides or {}
    images = dataclasses.replace(images, augmentation=recipe.augmentation)
    once = partial(_train, values, strategy, lessons, overrides, images, recipe)
    folder = values.output_dir or runs.default(values.model, images.name)
    seeds.run(once, values.seed, values.seeds, folder, distribution.is_chief(strategy))


def _models() -> list[str]:
    """A line for each network: its name, and the accuracy of its published weights if there are any."""
    import zoo
    from zoo.pretrained import PRETRAINED

    names = zoo.list_models()
    width = max(map(len, names))
    return [
        f"{name:{width}}  --weights={IMAGENET}: top-1 {PRETRAINED[name].top1} %"
        if name in PRETRAINED
        else name
        for name in names
    ]


def recipe_of(values: FlagValues, default: Recipe) -> Recipe:
    """A recipe with the values that the flags give.

    Raises:
        UserError: values that do not go together.
    """
    given = flags.given(values, RECIPE_KEYS)
    if values.scale_lr and "batch_size" in given:
        if "learning_rate" in given:
            raise UserError("--scale_lr computes the learning rate: leave out --learning_rate.")
        default = default.scale_learning_rate(given["batch_size"])
    return default.override(**given)


def _overrides(model: str, images: "Dataset", settings: dict) -> dict:
    """The settings of the network that its data and the user choose."""
    from zoo import registry

    stem = registry.default_stem(model, images.kind, images.image_size)
    normalization = registry.normalization_of(model, usual=images.normalization)
    return {"normalization": normalization, **({"stem": stem} if stem else {}), **settings}


def _train(
    values: FlagValues,
    strategy: "tf.distribute.Strategy",
    lessons: DistillationSettings,
    overrides: dict,
    images: "Dataset",
    recipe: Recipe,
    seed: int,
    folder: Path,
) -> None:
    """One training with one seed."""
    from bnn_keras import distillation, training
    from bnn_keras.cli import checkpoint
    from bnn_keras.runs import RunFolder
    from zoo import pretrained, registry

    training.make_deterministic(seed)
    shape, classes = (images.image_size, images.image_size, 3), len(images.class_names)
    with strategy.scope():
        network = registry.build(values.model, shape, classes, **overrides)
    settings = {key: values[key].value for key in ("model", "data_dir", "train_examples", "strict")}
    # Several workers would have to stop after the same step: there a signal ends each of them at once.
    alone = strategy.cluster_resolver is None or not strategy.cluster_resolver.task_type
    stop = {"stop": interruption.requested} if alone else {}
    weights, note = values.weights, checkpoint.difference(values.model, overrides, values.weights)
    if weights == IMAGENET:
        weights = None if RunFolder(folder).begun else pretrained.find(values.model)
        note = pretrained.published(values.model).description
    options = ("checkpoint_steps", "log_seconds", "sync_batch_norm", "data_service")
    distillation.train(
        lessons,
        registry,
        network,
        images,
        recipe,
        folder,
        seed=seed,
        settings={**settings, "overrides": overrides, "weights": values.weights},
        weights=weights,
        **{key: values[key].value for key in options},
        weights_note=note,
        **stop,
    )
