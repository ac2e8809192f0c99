"""The report of several runs: results, curves over each other, and the settings that differ."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bnn_keras import files
from bnn_keras.report import constants, flip_charts, page
from bnn_keras.report.charts import Chart, Line, numbered
from bnn_keras.report.curves import HELD_OUT, curves, y_scale
from bnn_keras.report.settings import Run, Setting, differing

RESULTS = ("best held-out accuracy, %", "in epoch", "last, %", "epochs", "seconds")
Course = tuple[Sequence[float], Sequence[float]]  # epochs and values


def write(settings: Sequence[Setting], output: Path) -> None:
    """Write a page that compares runs.

    Args:
        settings: as `bnn_keras.report.settings.gather` gives them.
        output: the page, one HTML file.

    Raises:
        UserError: it cannot be written, or the table of a run lacks a column.
    """
    runs = sum(len(setting.runs) for setting in settings)
    parts = [_results(settings), _differences(settings), _curves(settings), _flips(settings)]
    sentence = ", ".join(setting.name for setting in settings)
    files.write_text(output, page.page(f"Comparison of {runs} runs", sentence, filter(None, parts)))


def history_charts(settings: Sequence[Setting]) -> list[Chart]:
    """A chart for each measured value in training and on the held-out set, with a line for each setting."""
    titles: dict[str, set[str]] = {}
    for setting in settings:
        for run in setting.runs:
            for curve in curves(run.history, run.config):
                titles.setdefault(curve.title, set()).add(curve.label)
    return [
        _chart(settings, _joined(title, label), partial(_course, title=title, label=label), y_scale(title))
        for title, labels in titles.items()
        # The held-out values are what runs are compared by.
        for label in sorted(labels, key=lambda label: (label != HELD_OUT, label))
    ]


def share_charts(settings: Sequence[Setting]) -> list[Chart]:
    """Charts of the share of binary weights that flipped at all, with a line for each setting."""
    charts = [_chart(settings, flip_charts.FLIPPED, _flipped, "log", flip_charts.SHARE)]
    for number, place in enumerate(("first", "last")):
        title = f"The same, in the {place} binary kernel"
        charts.append(_chart(settings, title, partial(_flipped_in, number=number), "log", flip_charts.SHARE))
    return charts


def _joined(*words: str) -> str:
    return ", ".join(filter(None, words))


def _chart(
    settings: Sequence[Setting],
    title: str,
    course: Callable[[Run], Course | None],
    scale: str,
    y_label: str = "",
) -> Chart:
    """A chart with the mean course of each setting, and a band of its standard deviation."""
    lines = []
    for number, setting in enumerate(settings):
        courses = [found for run in setting.runs if (found := course(run))]
        if courses:
            lines.append(_mean_line(setting.name, courses, number))
    return Chart(title, lines, y_label=y_label, y_scale=scale)


def _mean_line(label: str, courses: Sequence[Course], number: int) -> Line:
    values: dict[float, list[float]] = {}
    for epochs, course in courses:
        for epoch, value in zip(epochs, course, strict=True):
            values.setdefault(epoch, []).append(value)
    epochs = sorted(values)
    # Values of a diverged run may be too large for their squares.
    with np.errstate(all="ignore"):
        mean = [float(np.mean(values[epoch])) for epoch in epochs]
        spread = [float(np.std(values[epoch], ddof=1)) if len(values[epoch]) > 1 else 0.0 for epoch in epochs]
    return Line(label, epochs, mean, **numbered(number), spread=spread if len(courses) > 1 else None)


def _course(run: Run, title: str, label: str) -> Course | None:
    for curve in curves(run.history, run.config):
        if (curve.title, curve.label) == (title, label):
            return run.history.column("epoch"), run.history.column(curve.column)
    return None


def _flipped(run: Run) -> Course | None:
    return flip_charts.flipped_shares(run.flips) if run.flips.rows else None


def _flipped_in(run: Run, number: int) -> Course | None:
    kernels = flip_charts.first_and_last(run.flips)
    return flip_charts.flipped_shares(run.flips, kernels[number][1]) if number < len(kernels) else None


def _results(settings: Sequence[Setting]) -> str:
    several = any(len(setting.runs) > 1 for setting in settings)
    rows = [[setting.name, str(len(setting.runs)), *_summary(setting.runs)] for setting in settings]
    every = [
        [setting.name, str(run.config.seed), *_summary([run]), str(run.path)]
        for setting in settings
        for run in setting.runs
    ]
    headings = ("setting", "seed", *RESULTS, "folder")
    return page.section(
        "Results",
        page.table(("setting", "seeds", *RESULTS), rows),
        page.paragraph("Mean ± standard deviation (n - 1) over the seeds of a setting.") if several else "",
        page.folded("every run", page.table(headings, every, left=(0, len(headings) - 1))),
    )


def _summary(runs: Sequence[Run]) -> list[str]:
    """The cells below `RESULTS`: means over the runs, with deviations if there are several."""
    accuracies = [run.history.column("val_accuracy") for run in runs]
    done = [len(run.history.rows) for run in runs]
    return [
        _mean([100 * max(each) for each in accuracies], 2),
        _mean([each.index(max(each)) + 1 for each in accuracies], 1 if len(runs) > 1 else 0),
        _mean([100 * each[-1] for each in accuracies], 2),
        f"{_range(done)} of {runs[0].config.recipe.all_epochs}",
        _mean([sum(run.history.column("seconds")) for run in runs], 1),
    ]


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def _mean(values: Sequence[float], digits: int) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    with np.errstate(all="ignore"):
        return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean


def _differences(settings: Sequence[Setting]) -> str:
    """The keys in which the settings differ, and the versions; "" for a single setting."""
    if len(settings) == 1:
        return ""
    configs = [setting.config for setting in settings]
    environments = [config.environment or {} for config in configs]
    names = dict.fromkeys(name for environment in environments for name in environment)
    versions = {name: [environment.get(name) for environment in environments] for name in names}
    versions = {name: values for name, values in versions.items() if len(set(values)) > 1}
    headings = ("key", *(setting.name for setting in settings))
    found = differing(configs)
    return page.section(
        "Settings that differ",
        _values(headings, found) if found else page.paragraph("None: all settings are equal."),
        page.folded("versions that differ", _values(headings, versions)) if versions else "",
    )


def _values(headings: Sequence[str], found: Mapping[str, Sequence[Any]]) -> str:
    rows = [(key, *map(page.setting_text, values)) for key, values in found.items()]
    return page.table(headings, rows, left=range(len(headings)))


def _curves(settings: Sequence[Setting]) -> str:
    shown, sentences = constants.separate(history_charts(settings))
    several = any(len(setting.runs) > 1 for setting in settings)
    note = "A line is the mean over the seeds of a setting, a band one standard deviation to both sides."
    return page.section(
        "Curves",
        page.paragraph(note) if several else "",
        page.figures(shown),
        *map(page.paragraph, sentences),
    )


def _flips(settings: Sequence[Setting]) -> str:
    shown, sentences = constants.separate(share_charts(settings))
    if not shown and not sentences:
        return ""
    return page.section(
        "Flips of binary weights",
        page.paragraph(flip_charts.EXPLANATION),
        page.figures(shown),
        *map(page.paragraph, sentences),
    )
