"""What the --resume=RUN of `train` and `search` takes from the run's configuration, in place of flags."""

import dataclasses
from collections.abc import Mapping, Sequence
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
SAME_IN_SEARCH = ("dataset", "image_size", "train_examples", "seed")
REFUSED_BY_SEARCH = ("recipe", "scale_lr", "output_dir")


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
    _refuse(values, REFUSED)
    config = RunFolder(Path(run)).read_config()
    if config.search is not None:
        raise UserError(f"{run} is a search: bnn search --resume={run} goes on with it.")
    teaching = _teaching(run, config)
    lessons = {key: getattr(teaching, key) for key in flags_of(DistillationSettings)}
    cache = lessons.pop("cache_teacher")
    _take(values, {**{key: getattr(config, key) for key in SAME}, **_recipe(config), **lessons})
    _take_neutral(values, {**{key: getattr(config, key) for key in NEUTRAL}, "cache_teacher": cache})
    _check_overrides(values, run, config.overrides or {})
    return _extended(values, config)


def resumed_search(values: FlagValues) -> RunConfig:
    """The same for a search.

    Args, result and errors are those of `resumed`.
    """
    run = values.resume
    _refuse(values, REFUSED_BY_SEARCH)
    config = RunFolder(Path(run)).read_config()
    if config.search is None:
        raise UserError(f"{run} is a training, and no search: bnn train --resume={run} goes on with it.")
    same = {key: getattr(config, key) for key in SAME_IN_SEARCH}
    _take(values, {**same, **_recipe(config), **dataclasses.asdict(config.search)})
    _take_neutral(values, {key: getattr(config, key) for key in NEUTRAL})
    return _extended(values, config)


def _refuse(values: FlagValues, keys: Sequence[str]) -> None:
    for key in keys:
        if values[key].present:
            raise UserError(f"--{key} does not go with --resume: {values.resume} has its settings already.")


def _recipe(config: RunConfig) -> dict[str, Any]:
    """The recipe but for the epochs, which may be extended."""
    recipe = {field.name: getattr(config.recipe, field.name) for field in RECIPE_FIELDS}
    del recipe["epochs"]
    return recipe


def _take(values: FlagValues, settings: Mapping[str, Any]) -> None:
    """Give flags the values of the run, which no flag may contradict."""
    for key, there in settings.items():
        if values[key].present and values[key].value != there:
            raise _contradiction(values.resume, key, there, values[key].value)
        values[key].value = there


def _take_neutral(values: FlagValues, settings: Mapping[str, Any]) -> None:
    """Give flags that are not given the values of the run."""
    for key, there in settings.items():
        if not values[key].present and there is not None:
            values[key].value = there


def _extended(values: FlagValues, config: RunConfig) -> RunConfig:
    values["output_dir"].value = values.resume
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
