"""A training with teachers: reads them, computes their logits beforehand if required, and trains."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from bnn_keras import training
from bnn_keras.data import Dataset
from bnn_keras.distillation import assistants, attention, cache, sources
from bnn_keras.distillation.panel import Ask, Panel, read_answers
from bnn_keras.distillation.teacher import Teacher
from bnn_keras.distillation.trainer import Distilled, Objective
from bnn_keras.distillation.views import FixedViews
from bnn_keras.settings.distillation import DistillationSettings
from bnn_keras.settings.recipe import Recipe

DIGITS = 16  # of a hash in config.json


@dataclasses.dataclass(frozen=True)
class Lessons:
    """The arguments of `bnn_keras.training.train` that depend on the teachers.

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
    distillation: DistillationSettings,
    zoo: sources.Zoo,
    network: tf.keras.Model,
    dataset: Dataset,
    recipe: Recipe,
    output_dir: str | os.PathLike,
    *,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> str:
    """`bnn_keras.training.train` with the teachers of the settings, if there are any.

    Args:
        distillation: the settings.
        zoo: builds teachers that are files of weights.
        network, dataset, recipe, output_dir, seed, settings, options: as there.

    Raises:
        UserError: as there, or a teacher that cannot be read or does not fit.
    """
    lessons = prepare(distillation, network, dataset, recipe, seed, zoo)
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


def prepare(
    distillation: DistillationSettings,
    network: tf.keras.Model,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    zoo: sources.Zoo,
) -> Lessons:
    """Read the teachers, and compute their logits beforehand if they are to be cached.

    Args:
        distillation: the settings.
        network: the student.
        dataset, recipe, seed: of the training.
        zoo: builds teachers that are files of weights.

    Raises:
        UserError: a teacher that cannot be read or does not fit.
    """
    views = distillation.fixed_views
    settings: dict = {"views": views} if views else {}
    if views:
        dataset = FixedViews.from_dataset(dataset, views=views)
    if distillation.teacher is None:
        return Lessons(dataset, settings=settings)
    switches = assistants.switch_epochs(recipe.planned_epochs, max(1, len(distillation.assistants)))
    # In the scope of the student's strategy: each replica then reads its own copy of the teachers' weights.
    with network.distribute_strategy.scope():
        teacher, *helpers = (
            sources.read(text, dataset, zoo, distillation.teacher_precision)
            for text in (distillation.teacher, *distillation.assistants)
        )
        helpers = assistants.sort_assistants(helpers)
        objective = _objective(distillation, network, teacher)
        panel = Panel(teacher.watching(objective.stages), helpers)
    ask: Ask = panel
    if distillation.cache_teacher and views:
        folder = Path(distillation.cache_teacher) / f"seed{seed}"
        dataset = cache.prepare(folder, dataset, views, [teacher, *helpers], recipe, seed)
        ask = read_answers
    names = [helper.name for helper in helpers]
    return Lessons(
        dataset,
        lambda student: Distilled(student, ask, objective, teachers=2 if helpers else 1),
        (assistants.SwitchAssistant(names, recipe.planned_epochs, panel.choose),) if helpers else (),
        settings
        | {"distillation": _recorded(distillation, objective, teacher, helpers, switches)}
        | {"teaching": distillation},
    )


def _objective(distillation: DistillationSettings, network: tf.keras.Model, teacher: Teacher) -> Objective:
    stages = distillation.attention_stages
    if distillation.attention_weight:
        stages = stages or tuple(attention.common_stages(network, teacher.network))
        attention.check_stages(network, teacher.network, stages)
    return Objective(
        distillation.ensemble,
        distillation.teacher_temperature,
        distillation.label_weight,
        distillation.attention_weight,
        tuple(stages),
    )


def _recorded(
    distillation: DistillationSettings,
    objective: Objective,
    teacher: Teacher,
    helpers: list[Teacher],
    switches: list[int],
) -> dict[str, Any]:
    """The settings that the weights depend on, and the epochs that the report marks."""
    return {
        "teacher": teacher.name,
        "teacher_weights": teacher.digest[:DIGITS],
        "assistants": [helper.name for helper in helpers],
        "assistant_weights": [helper.digest[:DIGITS] for helper in helpers],
        "assistant_switches": switches,
        "teacher_precision": distillation.teacher_precision,
        "ensemble": objective.ensemble,
        "teacher_temperature": objective.temperature,
        "label_weight": objective.label_weight,
        "attention_weight": objective.attention_weight,
        "attention_stages": list(objective.stages),
    }
