"""The curves of a run's history: accuracy, loss, learning rate, temperature, and what else was measured."""

import dataclasses

import numpy as np

from bnn_keras.papers import published
from bnn_keras.report.charts import Chart, Line
from bnn_keras.runs import Table
from bnn_keras.runs.config import RunConfig
from bnn_keras.runs.evaluation import TOP5_CLASSES

ACCURACY, TOP5, LEARNING_RATE = "Accuracy", "Top-5 accuracy", "Learning rate"
TEMPERATURE = "Temperature of the kernels"
TRAINING, HELD_OUT = "training", "held-out"
# The chart of each column of history.csv and the label of its line, in the order of the page. The title of a
# chart with a single line says everything.
PLACES = {
    "accuracy": (ACCURACY, TRAINING),
    "val_accuracy": (ACCURACY, HELD_OUT),
    "loss": ("Cross-entropy", TRAINING),
    "val_loss": ("Cross-entropy", HELD_OUT),
    "teacher_loss": ("Loss for each teacher", "teacher"),
    "assistant_loss": ("Loss for each teacher", "assistant"),
    "teacher_weight": ("Weight of each teacher", "teacher"),
    "assistant_weight": ("Weight of each teacher", "assistant"),
    "attention_loss": ("Loss of attention matching", ""),
    "learning_rate": (LEARNING_RATE, ""),
    "temperature": (TEMPERATURE, ""),
    "top5": (TOP5, TRAINING),
    "val_top5": (TOP5, HELD_OUT),
}
# With teachers, the loss in training is not the cross-entropy that is measured on held-out images.
WITH_TEACHERS = {"loss": ("Training loss with teachers", "")}
HIDDEN = ("epoch", "seconds")
PREFIX = "val_"  # of the columns of held-out images
PUBLISHED_ON = "imagenet2012"
PUBLISHED = {ACCURACY: "top1", TOP5: "top5"}  # charts, and the columns of the authors' curves


@dataclasses.dataclass(frozen=True)
class Curve:
    """A column of history.csv, and where it is drawn.

    Args:
        column: its name.
        title: of the chart.
        label: of the line; "" if the title says it.
    """

    column: str
    title: str
    label: str


def curves(history: Table, config: RunConfig) -> list[Curve]:
    """What a run measured, in the order of the page.

    Top-5 accuracy is left out for few classes, where it says little.

    Args:
        history: of the run, with at least one row.
        config: of the run.
    """
    columns = [name for name in history.rows[0] if name not in HIDDEN]
    if config.classes < TOP5_CLASSES:
        columns = [name for name in columns if name.removeprefix(PREFIX) != "top5"]
    places = PLACES | (WITH_TEACHERS if "teacher_loss" in columns else {})
    ordered = [name for name in places if name in columns] + [name for name in columns if name not in places]
    return [Curve(name, *places.get(name, _own_place(name))) for name in ordered]


def _own_place(column: str) -> tuple[str, str]:
    return column.removeprefix(PREFIX), HELD_OUT if column.startswith(PREFIX) else TRAINING


def y_scale(title: str) -> str:
    """The scale of a chart: the temperature falls over many powers of ten."""
    return "log" if title == TEMPERATURE else "linear"


def history_charts(history: Table, config: RunConfig) -> list[Chart]:
    """A chart for each measured value, with its course in training and on the held-out set.

    Args:
        history: of the run.
        config: of the run; on ImageNet the charts show the authors' curve of the same network too.
    """
    if not history.rows:
        return []
    lines: dict[str, list[Line]] = {}
    epochs = history.column("epoch")
    for curve in curves(history, config):
        style = "--" if curve.label in (TRAINING, "assistant") else "-"
        line = Line(curve.label, epochs, history.column(curve.column), style)
        lines.setdefault(curve.title, []).append(line)
    authors = authors_curve(config)
    if authors is not None:
        lines = {title: _with_authors(title, own, authors) for title, own in lines.items()}
    marks = assistant_switches(config)
    return [Chart(title, own, y_scale=y_scale(title), marks=marks) for title, own in lines.items()]


def assistant_switches(config: RunConfig) -> list[int]:
    """The epochs that began with another assistant teacher (BNext, algorithm 1)."""
    return (config.distillation or {}).get("assistant_switches", [])


def authors_curve(config: RunConfig) -> dict[str, np.ndarray] | None:
    """The published curve of the run's network (`bnn_keras.papers.published.curve`), if there is one."""
    stem = (config.overrides or {}).get("stem", "grouped")
    if config.dataset != PUBLISHED_ON or (config.model, stem) not in published.curves():
        return None
    return published.curve(config.model, stem)


def _with_authors(title: str, own: list[Line], authors: dict[str, np.ndarray]) -> list[Line]:
    """The lines of a chart and those of the authors' run."""
    if title == LEARNING_RATE:
        (line,) = own
        theirs = Line("authors", authors["epoch"], authors["learning_rate"], ":", color=1)
        return [dataclasses.replace(line, label="this run"), theirs]
    if title not in PUBLISHED:
        return own
    column = PUBLISHED[title]
    return own + [
        Line(f"authors, {label}", authors["epoch"], authors[f"{part}_{column}"], style, color=1)
        for part, label, style in (("train", TRAINING, ":"), ("val", HELD_OUT, "-."))
    ]
