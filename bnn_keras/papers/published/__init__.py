"""What the papers and their authors' logs print: figures only, each with its source.

The data files beside this module hold facts; a file `PAPER.json` is one paper's tables, with every
figure as it is printed, because its digits say how exactly it is known.
"""

import csv
import functools
import json
from importlib import resources

import numpy as np

from bnn_keras.errors import UserError

RUNS = "runs.json"
CURVES = "curves.csv"


@functools.cache
def papers() -> tuple[dict, ...]:
    """Every paper's tables: "paper", "reference", "tables" and "misprints"."""
    files = sorted(file.name for file in _folder().iterdir() if file.name.endswith(".json"))
    return tuple(_json(name) for name in files if name != RUNS)


@functools.cache
def runs() -> dict:
    """The 17 released ImageNet runs: "source", "units" and "runs"."""
    return _json(RUNS)


def run(model: str, stem: str = "grouped") -> dict:
    """The settings and results of the authors' own run of a network.

    Raises:
        UserError: there is no such run.
    """
    for found in runs()["runs"]:
        if (found["model"], found["stem"]) == (model, stem):
            return found
    raise _no_run(model, stem)


def curve(model: str, stem: str = "grouped") -> dict[str, np.ndarray]:
    """The authors' own run of a network on ImageNet, to draw one's own beside it.

    Args:
        model, stem: as `zoo.build` takes them.

    Returns:
        "epoch" (from 1), "learning_rate", "train_top1", "train_top5", "val_top1" and "val_top5"
        (fractions), an array each with a value an epoch.

    Raises:
        UserError: there is no such run.
    """
    rows = _curves().get((model, stem))
    if rows is None:
        raise _no_run(model, stem)
    columns = {key: np.array([float(row[key]) for row in rows]) for key in list(rows[0])[2:]}
    return {**columns, "epoch": columns["epoch"].astype(int)}


def curves() -> list[tuple[str, str]]:
    """The (model, stem) pairs that `curve` and `run` know."""
    return list(_curves())


@functools.cache
def _curves() -> dict[tuple[str, str], list[dict[str, str]]]:
    text = _folder().joinpath(CURVES).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in csv.DictReader(lines):
        found.setdefault((row["model"], row["stem"]), []).append(row)
    return found


def _no_run(model: str, stem: str) -> UserError:
    known = ", ".join("/".join(key) for key in curves())
    return UserError(f"No run of {model!r} with the stem {stem!r} was published; there are: {known}.")


def _folder():
    return resources.files(__name__)


def _json(name: str) -> dict:
    return json.loads(_folder().joinpath(name).read_text(encoding="utf-8"))
