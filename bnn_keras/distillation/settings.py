"""The flags of distillation, and what they come to."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf
from absl import flags

from bnn_keras import training
from bnn_keras.data import Dataset
from bnn_keras.distillation import assistants, attention, cache, ensemble, sources
from bnn_keras.distillation.panel import Ask, Panel, written_down
from bnn_keras.distillation.teacher import PRECISIONS, Teacher
from bnn_keras.distillation.trainer import Distilled, Objective
from bnn_keras.distillation.views import FixedViews
from bnn_keras.errors import UserError, one_of
from bnn_keras.settings.recipe import Recipe

CACHED_VIEWS = 1  # where --views does not say
DIGITS = 16  # of a hash in config.json


def define_flags(flag_values: flags.FlagValues) -> None:
    """Define the flags of distillation."""
    define = {"flag_values": flag_values}
    meaning = "whom to learn from: a run folder, FILE.keras, NAME of keras.applications, or NAME=FILE"
    flags.DEFINE_string("teacher", None, meaning, **define)
    flags.DEFINE_list("assistants", [], "further teachers, one at a time over equal parts", **define)
    flags.DEFINE_string("ensemble", "paper", "how teachers are weighed: paper or released", **define)
    flags.DEFINE_float("teacher_temperature", 1.0, "of the distributions that are compared", **define)
    flags.DEFINE_float("label_weight", 0.0, "share of the labels' own loss, 0 to 1", **define)
    flags.DEFINE_string("teacher_precision", "float32", f"one of {', '.join(PRECISIONS)}", **define)
    flags.DEFINE_float("attention_weight", 0.0, "of attention matching with the teacher", **define)
    flags.DEFINE_list(
        "attention_stages", [], "stages to match; the last common one of each size if not given", **define
    )
    flags.DEFINE_integer(
        "views",
        None,
        "fixed views of the images to cycle through; new ones each epoch if not given",
        **define,
    )
    flags.DEFINE_string(
        "cache_teacher", None, f"folder for the teachers' logits, asked once ({CACHED_VIEWS} view)", **define
    )


FLAGS = flags.FlagValues()
define_flags(FLAGS)


@dataclasses.dataclass(frozen=True)
class Distillation:
    """What `bnn_keras.training.fit.train` is given.

    Args:
        dataset: in fixed views, if these were asked for.
        make_trainer: its `make_trainer`; None without a teacher.
        callbacks: its `extra_callbacks`.
        settings: for config.json.
    """

    dataset: Dataset
    make_trainer: Callable[[tf.keras.Model], tf.keras.Model] | None = None
    callbacks: tuple[tf.keras.callbacks.Callback, ...] = ()
    settings: dict = dataclasses.field(default_factory=dict)


def train(
    values: flags.FlagValues,
    zoo: sources.Zoo,
    network: tf.keras.Model,
    dataset: Dataset,
    recipe: Recipe,
    output_dir: str | os.PathLike,
    *,
    seed: int = 0,
    settings: Mapping | None = None,
    **options,
) -> str:
    """`bnn_keras.training.fit.train` with the teachers that the flags name, if they name any.

    Args:
        values: with the flags of `define_flags`.
        zoo: builds teachers that are files of weights.
        network, dataset, recipe, output_dir, seed, settings, options: as there.
    """
    lessons = resolve(values, network, dataset, recipe, seed, zoo)
    return training.train(
        network,
        lessons.dataset,
        recipe,
        output_dir,
        seed=seed,
        settings={**(settings or {}), **lessons.settings},
        make_trainer=lessons.make_trainer,
        extra_callbacks=lessons.callbacks,
        **options,
    )


def resolve(
    values: flags.FlagValues,
    network: tf.keras.Model,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    zoo: sources.Zoo,
) -> Distillation:
    """Read the teachers that the flags name, and ask them beforehand if that is wanted.

    Args:
        values: with the flags of `define_flags`.
        network: the student.
        dataset, recipe, seed: of the training.
        zoo: builds teachers that are files of weights.

    Raises:
        UserError: flags that do not go together; a teacher that cannot be read or does not fit.
    """
    _check(values)
    views = values.views or (CACHED_VIEWS if values.cache_teacher else 0)
    settings = {"views": views} if views else {}
    if views:
        dataset = FixedViews.of(dataset, views=views)
    if values.teacher is None:
        return Distillation(dataset, settings=settings)
    switches = assistants.switches(recipe.all_epochs, max(1, len(values.assistants)))
    # Where the student is: each replica reads its own copy of the teachers' weights.
    with network.distribute_strategy.scope():
        teacher, *helpers = (
            sources.read(text, dataset, zoo, values.teacher_precision)
            for text in (values.teacher, *values.assistants)
        )
        helpers = assistants.in_order(helpers)
        objective = _objective(values, network, teacher)
        panel = Panel(teacher.watching(objective.stages), helpers)
    ask: Ask = panel
    if values.cache_teacher:
        folder = Path(values.cache_teacher) / f"seed{seed}"
        dataset = cache.prepare(folder, dataset, views, teacher, helpers, recipe, seed)
        ask = written_down
    names = [helper.name for helper in helpers]
    return Distillation(
        dataset,
        lambda student: Distilled(student, ask, objective, teachers=2 if helpers else 1),
        (assistants.SwitchAssistant(names, recipe.all_epochs, panel.choose),) if helpers else (),
        settings | {"distillation": _written(values, objective, teacher, helpers, switches)},
    )


def _objective(values: flags.FlagValues, network: tf.keras.Model, teacher: Teacher) -> Objective:
    stages = list(values.attention_stages)
    if values.attention_weight:
        stages = stages or attention.common_stages(network, teacher.network)
        attention.check_stages(network, teacher.network, stages)
    return Objective(
        values.ensemble,
        values.teacher_temperature,
        values.label_weight,
        values.attention_weight,
        tuple(stages),
    )


def _written(values, objective: Objective, teacher: Teacher, helpers: list[Teacher], switches) -> dict:
    """What the weights depend on, and the epochs that the report marks."""
    return {
        "teacher": teacher.name,
        "teacher_weights": teacher.digest[:DIGITS],
        "assistants": [helper.name for helper in helpers],
        "assistant_weights": [helper.digest[:DIGITS] for helper in helpers],
        "assistant_switches": switches,
        "teacher_precision": values.teacher_precision,
        "ensemble": objective.ensemble,
        "teacher_temperature": objective.temperature,
        "label_weight": objective.label_weight,
        "attention_weight": objective.attention_weight,
        "attention_stages": list(objective.stages),
    }


def _check(values: flags.FlagValues) -> None:
    if values.views is not None and values.views < 1:
        raise UserError(f"--views is a number of views, at least 1. Received: {values.views}.")
    if values.teacher is None:
        for name in FLAGS:
            if name not in ("teacher", "views") and values[name].value != values[name].default:
                raise UserError(f"--{name} goes with --teacher, which is not given.")
        return
    if values.ensemble not in ensemble.FORMS:
        raise one_of("ensemble", values.ensemble, ensemble.FORMS)
    if not 0 < values.teacher_temperature < float("inf"):
        raise UserError(
            f"--teacher_temperature is a positive number. Received: {values.teacher_temperature}."
        )
    if not 0 <= values.label_weight <= 1:
        raise UserError(f"--label_weight is a share from 0 to 1. Received: {values.label_weight}.")
    if not 0 <= values.attention_weight < float("inf"):
        raise UserError(f"--attention_weight is 0 or more. Received: {values.attention_weight}.")
    if values.attention_stages and not values.attention_weight:
        raise UserError("--attention_stages goes with an --attention_weight above 0.")
    if values.attention_weight and values.cache_teacher:
        raise UserError(
            "--cache_teacher keeps logits only, and --attention_weight needs the teacher itself: choose one."
        )
