"""The charts of a run's history: accuracy, loss, learning rate, temperature, and what else was measured."""

import numpy as np

from bnn_keras.papers import published
from bnn_keras.report.charts import Chart, Line
from bnn_keras.runs import Table
from bnn_keras.runs.config import RunConfig

# Values that the recipe sets: one line each, since they have no held-out value.
SETTINGS = {"learning_rate": "Learning rate", "temperature": "Temperature of the kernels"}
TITLES = {"accuracy": "Accuracy", "top5": "Top-5 accuracy", "loss": "Loss", **SETTINGS}
FIRST = ("accuracy", "loss", *SETTINGS)
PUBLISHED_ON = "imagenet2012"
HIDDEN = ("epoch", "seconds")
HELD_OUT = "val_"
PUBLISHED = {"accuracy": "top1", "top5": "top5"}  # a run's names, and the columns of the authors' curves


def history_charts(history: Table, config: RunConfig) -> list[Chart]:
    """A chart for each measured value, with its course in training and on the held-out set.

    Args:
        history: of the run.
        config: of the run; on ImageNet the charts show the authors' curve of the same network too.
    """
    if not history.rows:
        return []
    columns = [name for name in history.rows[0] if name not in HIDDEN]
    names = dict.fromkeys(name.removeprefix(HELD_OUT) for name in columns)
    ordered = [name for name in FIRST if name in names] + [name for name in names if name not in FIRST]
    authors, switches = authors_curve(config), assistant_switches(config)
    return [
        Chart(TITLES.get(name) or name, _lines(history, name, authors), marks=switches) for name in ordered
    ]


def assistant_switches(config: RunConfig) -> list[int]:
    """The epochs that began with another assistant teacher (BNext, algorithm 1)."""
    return (config.distillation or {}).get("assistant_switches", [])


def authors_curve(config: RunConfig) -> dict[str, np.ndarray] | None:
    """The published curve of the run's network (`bnn_keras.papers.published.curve`), if there is one."""
    stem = (config.overrides or {}).get("stem", "grouped")
    if config.dataset != PUBLISHED_ON or (config.model, stem) not in published.curves():
        return None
    return published.curve(config.model, stem)


def _lines(history: Table, name: str, authors: dict[str, np.ndarray] | None) -> list[Line]:
    epochs = history.column("epoch")
    present = [column for column in (name, HELD_OUT + name) if column in history.rows[0]]
    labels = {name: ("", "-") if name in SETTINGS else ("training", "--"), HELD_OUT + name: ("held-out", "-")}
    lines = [Line(labels[column][0], epochs, history.column(column), labels[column][1]) for column in present]
    if authors is not None and name in PUBLISHED:
        column = PUBLISHED[name]
        lines += [
            Line(f"authors, {label}", authors["epoch"], authors[f"{part}_{column}"], style, color=1)
            for part, label, style in (("train", "training", ":"), ("val", "held-out", "-."))
        ]
    elif authors is not None and name == "learning_rate":
        lines = [
            Line("this run", lines[0].x, lines[0].y),
            Line("authors", authors["epoch"], authors[name], ":", color=1),
        ]
    return lines
