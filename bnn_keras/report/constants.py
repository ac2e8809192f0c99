"""What stays the same in a run is a sentence, and not a curve."""

import dataclasses
import math
from collections.abc import Iterable

from bnn_keras.report.charts import Chart, Line


def separate(shown: Iterable[Chart]) -> tuple[list[Chart], list[str]]:
    """The charts in which a line changes, and a sentence about each other chart.

    Args:
        shown: charts; those without lines are left out.
    """
    charts = [chart for chart in shown if chart.lines]
    kept = [chart for chart in charts if not all(line.constant for line in chart.lines)]
    return kept, [_sentence(chart.title, chart.lines) for chart in charts if chart not in kept]


def separate_lines(shown: Iterable[Chart]) -> tuple[list[Chart], list[str]]:
    """The charts with only those lines that change, and a sentence about the other lines of each chart."""
    kept, sentences = [], []
    for chart in shown:
        constant = [line for line in chart.lines if line.constant]
        if constant:
            sentences.append(_sentence(chart.title, constant))
        if len(constant) < len(chart.lines):
            changing = [line for line in chart.lines if not line.constant]
            kept.append(dataclasses.replace(chart, lines=changing))
    return kept, sentences


def _sentence(title: str, lines: Iterable[Line]) -> str:
    labels: dict[str, list[str]] = {}
    for line in lines:
        value = next((f"{y:.4g}" for y in line.y if math.isfinite(y)), "no number")
        labels.setdefault(value, []).append(line.label)
    values = "; ".join(f"{', '.join(names)} {value}".strip() for value, names in labels.items())
    epochs = {x for line in lines for x in line.x}
    return f"{title}: {values} in {'every epoch' if len(epochs) > 1 else 'the only epoch'}."
