"""What the papers and their authors' logs print: figures only, each with its source.

A file `PAPER.json` beside this module holds the tables of a paper. Every figure there is text, as it is
printed, because its digits say how exactly it is known.
"""

import csv
import functools
import json
from importlib import resources

import numpy as np

from bnn_keras.errors import UserError

FOLDER = resources.files(__name__)
RUNS = "runs.json"
CURVES = "curves.csv"


@functools.cache
def papers() -> tuple[dict, ...]:
    """What each paper prints: "paper", "reference", "tables" and "misprints"."""
    files = sorted(file.name for file in FOLDER.iterdir() if file.name.endswith(".json"))
    return tuple(_json(name) for name in files if name != RUNS)


@functools.cache
def runs() -> dict:
    """The 17 released ImageNet runs: "source", "units" and "runs"."""
    return _json(RUNS)


def run(model: str, stem: str = "grouped") -> dict:
    """The settings and results of the authors' run of a network.

    Args:
        model, stem: as `zoo.build` takes them.

    Raises:
        UserError: there is no such run.
    """
    for found in runs()["runs"]:
        if (found["model"], found["stem"]) == (model, stem):
            return found
    raise _no_run(model, stem)


def curve(model: str, stem: str = "grouped") -> dict[str, np.ndarray]:
    """The course of the authors' run of a network on ImageNet, for comparison with one's own.

    Args:
        model, stem: as `zoo.build` takes them.

    Returns:
        An array with one value an epoch for each of "epoch" (from 1), "learning_rate", and, as
        fractions, "train_top1", "train_top5", "val_top1" and "val_top5".

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
    text = FOLDER.joinpath(CURVES).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in csv.DictReader(lines):
        found.setdefault((row["model"], row["stem"]), []).append(row)
    return found


def _no_run(model: str, stem: str) -> UserError:
    known = ", ".join("/".join(key) for key in curves())
    return UserError(f"No run of {model!r} with the stem {stem!r} was published; valid: {known}.")


def _json(name: str) -> dict:
    return json.loads(FOLDER.joinpath(name).read_text(encoding="utf-8"))
