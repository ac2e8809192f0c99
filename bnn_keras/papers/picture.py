"""Published accuracy against operations and against size, as points."""

import io
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import textalloc
from matplotlib.axes import Axes

# Not pyplot, which would ask for a screen and keep every figure.
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bnn_keras.errors import UserError
from bnn_keras.papers import comparison

AXES = {"ops": "operations, 10⁸ (FLOPs + BOPs / 64)", "size_mib": "size, MiB"}

PANEL = (11, 9)  # inches
STYLES: dict[bool, dict[str, Any]] = {
    True: {"color": "tab:blue"},
    False: {"color": "white", "edgecolor": "grey"},
}
NAMES = {True: "counted here", False: "as published"}


class Point(NamedTuple):
    """A network in the picture.

    Args:
        x: its operations or its size, in the unit of `METRICS`.
        top1: the best published top-1 accuracy of the network, in percent.
        ours: whether `x` is counted in the built model, and not the published number.
    """

    x: float
    top1: float
    ours: bool


def find_points(tables: Sequence[comparison.Table], metric: str) -> dict[str, Point]:
    """The networks by their labels.

    Args:
        tables: as `comparison.compare` gives them.
        metric: a key of `AXES`.
    """
    found: dict[str, Point] = {}
    for table in tables:
        for line in table.lines:
            for figure in line.figures:
                if figure.metric == metric and "top1" in line.accuracies:
                    top1 = float(line.accuracies["top1"])
                    if figure.ours is None:
                        label, point = line.label, Point(figure.value, top1, False)
                    else:
                        label, point = _label(line), Point(figure.ours, top1, True)
                    if label not in found or found[label].top1 < top1:
                        found[label] = point
    return found


def _label(line: comparison.Line) -> str:
    # The grouped stem is the default of every binary network: it is not worth a word.
    settings = [str(value) for value in line.settings.values() if value != "grouped"]
    return ", ".join([str(line.model), *settings])


def draw(tables: Sequence[comparison.Table]) -> bytes:
    """Draw `plot` as a PNG file."""
    file = io.BytesIO()
    FigureCanvasAgg(plot(tables)).print_png(file)
    return file.getvalue()


def plot(tables: Sequence[comparison.Table]) -> Figure:
    """A panel for each of `AXES` that the tables have points for, one below another.

    Args:
        tables: as `comparison.compare` gives them.

    Raises:
        UserError: the tables have no points.
    """
    found = {metric: points for metric in AXES if (points := find_points(tables, metric))}
    if not found:
        names = ", ".join(repr(table.name) for table in tables)
        raise UserError(
            f"A picture shows accuracy on ImageNet against operations or size, which none of the chosen "
            f"tables has. Received: {names}."
        )
    figure = Figure(figsize=(PANEL[0], PANEL[1] * len(found)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(found), squeeze=False)[:, 0]
    for axes, (metric, points) in zip(panels, found.items(), strict=True):
        _draw_points(axes, points.values(), AXES[metric])
    # Where a label fits is known only after the layout.
    canvas.draw()
    for axes, points in zip(panels, found.values(), strict=True):
        _write_labels(axes, points)
    return figure


def _draw_points(axes: Axes, points: Collection[Point], label: str) -> None:
    for ours in sorted({point.ours for point in points}, reverse=True):
        chosen = [(point.x, point.top1) for point in points if point.ours == ours]
        axes.scatter(*zip(*chosen, strict=True), zorder=3, label=NAMES[ours], **STYLES[ours])
    axes.set(xlabel=label, ylabel="published top-1 on ImageNet, %", xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def _write_labels(axes: Axes, points: dict[str, Point]) -> None:
    """Write the names beside their points, where they cover neither points nor each other."""
    x, y = [point.x for point in points.values()], [point.top1 for point in points.values()]
    textalloc.allocate(
        axes,
        x,
        y,
        list(points),
        x_scatter=x,
        y_scatter=y,
        textsize=7,
        max_distance=0.5,
        nbr_candidates=1500,
        linecolor="grey",
        linewidth=0.5,
    )
