"""Runs by their settings: the seeds of one setting belong together, and settings differ in some keys."""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bnn_keras import files
from bnn_keras.errors import UserError
from bnn_keras.runs import RunFolder, Table
from bnn_keras.runs.config import RunConfig

SEED = "seed"


@dataclasses.dataclass(frozen=True)
class Run:
    """What a comparison needs of a run.

    Args:
        path: of the run folder.
        named: the path that the user gave: the same, or a folder of seeds.
        config: its settings.
        history, flips: its tables; the history has at least one row.
    """

    path: Path
    named: Path
    config: RunConfig
    history: Table
    flips: Table


@dataclasses.dataclass(frozen=True)
class Setting:
    """Runs that differ in nothing but their seeds.

    Args:
        name: of the folders, as short as it tells the settings apart.
        runs: at least one.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def config(self) -> RunConfig:
        """The settings of the first run."""
        return self.runs[0].config


def seed_folders(path: Path) -> list[Path]:
    """The run folders in a folder that `bnn train --seeds` wrote, by their seeds; [] for any other path.

    Raises:
        UserError: the path cannot be read.
    """
    with files.reading(path):
        if (path / RunFolder(path).config.name).is_file():
            return []
        found = [entry for entry in path.glob(f"{SEED}*") if re.fullmatch(rf"{SEED}\d+", entry.name)]
        return sorted(
            (entry for entry in found if RunFolder(entry).config.is_file()),
            key=lambda entry: int(entry.name.removeprefix(SEED)),
        )


def gather(paths: Sequence[Path]) -> list[Setting]:
    """Read runs, and group those that differ in nothing but their seeds.

    Args:
        paths: of run folders, and of folders that `bnn train --seeds` wrote. Seeds that have no completed
            epoch yet are left out.

    Raises:
        UserError: a path is no run or is given twice, or a run has no completed epoch.
    """
    runs = [run for path in paths for run in _read(path)]
    seen: set[str] = set()
    for run in runs:
        if (real := os.path.realpath(run.path)) in seen:
            raise UserError(f"Each run is compared once. Received twice: {run.path}.")
        seen.add(real)
    groups: list[list[Run]] = []
    for run in runs:
        group = next((group for group in groups if _is_another_seed(run, group)), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    short = _short_names([run.named for run in runs])
    return [Setting(_name([short[run.named] for run in group]), tuple(group)) for group in groups]


def differing(configs: Sequence[RunConfig]) -> dict[str, list[Any]]:
    """The keys in which configurations differ, each with its value in every configuration.

    The seed is not among them, nor what does not change the weights.
    """
    first, *others = configs
    found: dict[str, list[Any]] = {}
    for number, other in enumerate(others, start=1):
        for name, here, there in first.differences(other):
            found.setdefault(name, [here] * len(configs))[number] = there
    found.pop(SEED, None)
    return found


def _read(path: Path) -> list[Run]:
    seeds = [_read_run(seed, path) for seed in seed_folders(path)]
    completed = [run for run in seeds if run.history.rows] or [_read_run(path, path)]
    for run in completed:
        if not run.history.rows:
            raise UserError(f"{run.history.path} has no rows: the run has no completed epoch.")
    return completed


def _read_run(path: Path, named: Path) -> Run:
    folder = RunFolder(path)
    config = folder.read_config()
    return Run(path, named, config, Table(folder.history, ()), Table(folder.flips, ()))


def _is_another_seed(run: Run, group: Sequence[Run]) -> bool:
    return all([name for name, *_ in run.config.differences(other.config)] == [SEED] for other in group)


def _short_names(paths: Sequence[Path]) -> dict[Path, str]:
    """The shortest ends of paths that tell them apart."""
    parts = {path: Path(os.path.abspath(path)).parts for path in paths}
    length = 1
    while len({whole[-length:] for whole in parts.values()}) < len(set(parts.values())):
        length += 1
    return {path: str(Path(*whole[-length:])) for path, whole in parts.items()}


def _name(names: Sequence[str]) -> str:
    first, *others = dict.fromkeys(names)
    return f"{first} and {len(others)} more" if others else first
