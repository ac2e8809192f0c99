"""How the settings of a checkpoint's network differ from those of the network that it is loaded into."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnn_keras.runs import RunFolder
from zoo import registry


def difference(model: str, overrides: Mapping[str, Any], path: str | None) -> str:
    """Compare the settings of a network with those of the network that a checkpoint was made with.

    Args:
        model: name of the network.
        overrides: its settings that differ from the published ones.
        path: of the checkpoint: a run folder, a file in one, or a file of larq-zoo.

    Returns:
        Words with the flags that give the checkpoint's settings; empty if the settings are the same, or if
        those of the checkpoint are not known.
    """
    found = _settings_of(model, Path(path)) if path else None
    if found is None:
        return ""
    name, theirs = found
    if name != model:
        return f"these are weights of {name}, which --model={name} builds"
    ours = registry.all_settings(model, overrides)
    flags = [
        shlex.quote(f"--set={key}={_typed(value)}")
        for key, value in sorted(registry.all_settings(model, theirs).items())
        if listed(value) != listed(ours.get(key)) and isinstance(value, str | int | float | list | tuple)
    ]
    if not flags:
        return ""
    return f"these are weights of {model} with other settings, which {' '.join(flags)} gives"


def _settings_of(model: str, path: Path) -> tuple[str, Mapping[str, Any]] | None:
    """The name and the settings of a checkpoint's network, where they are known."""
    folder = RunFolder(path if path.is_dir() else path.parent)
    own = path.is_dir() or path.name.endswith((".keras", ".weights.h5"))
    if own and folder.config.is_file():
        config = folder.read_config()
        known = config.model in registry.list_models()
        return (config.model, config.overrides or {}) if known else None
    theirs = registry.larq_zoo_settings(model)
    return (model, theirs) if path.suffix == ".h5" and not own and theirs else None


def listed(value: object) -> object:
    """As a file holds it: tuples become lists."""
    return [listed(part) for part in value] if isinstance(value, list | tuple) else value


def _typed(value: object) -> str:
    """As a flag takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_typed, value)) if isinstance(value, list | tuple) else str(value)
