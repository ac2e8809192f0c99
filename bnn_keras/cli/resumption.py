"""What `train --resume=RUN` takes from the run's configuration, in place of flags."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl.flags import FlagValues

from bnn_keras.cli.checkpoint import listed
from bnn_keras.cli.network import parse_settings
from bnn_keras.errors import UserError
from bnn_keras.runs import RunFolder
from bnn_keras.runs.config import RunConfig
from bnn_keras.settings.distillation import DistillationSettings
from bnn_keras.settings.recipe import FIELDS as RECIPE_FIELDS

SAME = ("model", "dataset", "image_size", "train_examples", "seed", "weights", "sync_batch_norm")
# Do not decide the weights: the configuration gives their defaults.
NEUTRAL = ("data_dir", "strict", "checkpoint_steps")
# Choose a run, and so have no place beside --resume.
REFUSED = ("recipe", "scale_lr", "seeds", "output_dir")


def resumed(values: FlagValues) -> RunConfig:
    """Read the configuration of the run that --resume names, and give the flags its values.

    Args:
        values: of the flags of `train`. Those that are not given take the values of the run.

    Returns:
        The configuration, whose recipe has the further epochs of --epochs.

    Raises:
        UserError: there is no such run, or a flag contradicts it.
    """
    run = values.resume
    for key in REFUSED:
        if values[key].present:
            raise UserError(f"--{key} does not go with --resume: {run} has its settings already.")
    config = RunFolder(Path(run)).read_config()
    teaching = _teaching(run, config)
    recipe = {field.name: getattr(config.recipe, field.name) for field in RECIPE_FIELDS}
    del recipe["epochs"]
    lessons = {key: getattr(teaching, key) for key in flags_of(DistillationSettings)}
    cache = lessons.pop("cache_teacher")
    for key, there in {**{key: getattr(config, key) for key in SAME}, **recipe, **lessons}.items():
        if values[key].present and values[key].value != there:
            raise _contradiction(run, key, there, values[key].value)
        values[key].value = there
    for key, there in {**{key: getattr(config, key) for key in NEUTRAL}, "cache_teacher": cache}.items():
        if not values[key].present and there is not None:
            values[key].value = there
    _check_overrides(values, run, config.overrides or {})
    values["output_dir"].value = run
    if not values["epochs"].present:
        return config
    return dataclasses.replace(config, recipe=config.recipe.extend(values["epochs"].value))


def flags_of(settings: type) -> tuple[str, ...]:
    """The names of the fields of a dataclass of settings, which are those of its flags."""
    return tuple(field.name for field in dataclasses.fields(settings))


def _teaching(run: str, config: RunConfig) -> DistillationSettings:
    if config.teaching is None and config.distillation is not None:
        raise UserError(
            f"{run} was begun by an earlier version, which did not record the files of the teachers: give "
            f"the whole command of the run in place of --resume."
        )
    return config.teaching or DistillationSettings(views=config.views)


def _check_overrides(values: FlagValues, run: str, there: Mapping[str, Any]) -> None:
    """Refuse settings of the network that contradict those of the run."""
    stem = {"stem": values.stem} if values.stem else {}
    given = parse_settings(values.model, values.set, values.genotype)
    for key, value in {**given, **stem}.items():
        if key not in there or listed(value) != listed(there[key]):
            raise _contradiction(run, f"set={key}", there.get(key, "the published value"), value)


def _contradiction(run: str, key: str, there: object, value: object) -> UserError:
    return UserError(f"{run} is a run with {key}={there}. Received: --{key}={value}; leave it out to resume.")
