"""Line charts as data: drawn, and described in words for readers who cannot see them."""

import dataclasses
import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator

PANEL = (4.6, 3.1)  # inches
CYCLE = 6  # colours, after which they repeat
CROWD = 4  # lines; with more of them the legend is beside the chart


@dataclasses.dataclass(frozen=True)
class Theme:
    """The colours of a light or a dark page.

    Args:
        text, grid: of axes and grid lines.
        colors: of unordered lines; the colour-blind can tell them apart (Okabe and Ito's).
        shades: of ordered lines: the part of matplotlib's scale "viridis" that is visible.
        background: of a picture that is not in a page.
    """

    text: str
    grid: str
    colors: tuple[str, ...]
    shades: tuple[float, float]
    background: str


LIGHT = Theme(
    "#30343b", "#d9dce1", ("#0072b2", "#d55e00", "#00795a", "#b0468a", "#8a6d00", "#555555"), (0, 0.8), "#fff"
)
DARK = Theme(
    "#d5d9e0",
    "#3c424c",
    ("#56b4e9", "#f08a3c", "#2fc59b", "#e08fc0", "#f0e442", "#b8b8b8"),
    (0.3, 1),
    "#16191e",
)


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a chart.

    Args:
        label: for the legend; "" if the title of the chart says it.
        x, y: of equal length.
        style: matplotlib's: "-", "--", ":".
        color: index of a colour; lines that belong together share one.
        shade: place on an ordered scale of colours, from 0 to 1; replaces `color`.
    """

    label: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    style: str = "-"
    color: int = 0
    shade: float | None = None

    def description(self) -> str:
        """In words, where the line begins and ends, and its extremes."""
        known = [(x, y) for x, y in zip(self.x, self.y, strict=True) if math.isfinite(y)]
        if not known:
            return f"{self.label or 'the line'}: no values"
        (first, begin), (last, end) = known[0], known[-1]
        values = [y for _, y in known]
        return (
            f"{self.label or 'the line'}: {begin:.3g} at {first:g}, {end:.3g} at {last:g}, "
            f"between {min(values):.3g} and {max(values):.3g}"
        )


@dataclasses.dataclass(frozen=True)
class Chart:
    """A panel with lines.

    Args:
        title: above it.
        lines: in the order of the legend.
        x_label, y_label: of the axes.
        y_scale: "linear", "log", or "counts": starts at 0, logarithmic above 1.
        y_top: end of the axis, for charts that are to be compared; None fits it to the lines.
        marks: places on the x axis where something changes; a dotted line each.
    """

    title: str
    lines: Sequence[Line]
    x_label: str = "epoch"
    y_label: str = ""
    y_scale: str = "linear"
    y_top: float | None = None
    marks: Sequence[float] = ()

    def description(self) -> str:
        """The chart in words."""
        return (
            f"{self.title} by {self.x_label}. "
            + "; ".join(line.description() for line in self.lines)
            + (f"; marked at {', '.join(f'{mark:g}' for mark in self.marks)}." if self.marks else ".")
        )


def svg(chart: Chart, theme: Theme) -> bytes:
    """Draw a chart on a transparent background."""
    return _draw_rows([[chart]], theme, "svg", {"Date": None}, transparent=True)


def png(rows: Sequence[Sequence[Chart]]) -> bytes:
    """Draw rows of charts, of equal length, as a picture that is not in a page."""
    return _draw_rows(rows, LIGHT, "png", {"Software": None}, facecolor=LIGHT.background)


def _draw_rows(
    rows: Sequence[Sequence[Chart]], theme: Theme, kind: str, metadata: dict, **options: Any
) -> bytes:
    settings: Any = {
        "text.color": theme.text,
        "axes.labelcolor": theme.text,
        "axes.edgecolor": theme.text,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
        "grid.color": theme.grid,
        "axes.spines.top": False,
        "axes.spines.right": False,
        # The name of a layer may look like a formula.
        "text.parse_math": False,
        # Without it the names inside the file are random.
        "svg.hashsalt": "bnn_keras",
    }
    with matplotlib.rc_context(settings):
        columns = len(rows[0])
        figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * len(rows)), layout="constrained")
        panels = figure.subplots(len(rows), columns, squeeze=False)
        for axes, chart in zip(panels.flat, [chart for row in rows for chart in row], strict=True):
            _draw(axes, chart, theme)
        file = io.BytesIO()
        figure.savefig(file, format=kind, dpi=100, metadata=metadata, **options)
    return file.getvalue()


def _draw(axes: Axes, chart: Chart, theme: Theme) -> None:
    for line in chart.lines:
        # A single point is not visible as a line.
        marker = "." if len(line.x) < 40 else ""
        color = _color(line, theme)
        axes.plot(line.x, line.y, line.style, color=color, label=line.label, marker=marker, linewidth=1.8)
    for mark in chart.marks:
        axes.axvline(mark, color=theme.text, linestyle=":", linewidth=1)
    axes.set_title(chart.title, fontsize="medium")
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
    if chart.y_scale == "counts":
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=(1, 2, 5)))
        axes.set_ylim(bottom=-0.1, top=chart.y_top)
    else:
        axes.set_yscale(chart.y_scale)
        axes.set_ylim(top=chart.y_top)
    if chart.y_scale != "linear":
        # By default, matplotlib writes powers as formulas.
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    if any(line.label for line in chart.lines):
        # Many lines leave no corner free.
        beside: Any = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(chart.lines) > CROWD else {}
        axes.legend(frameon=False, fontsize="small", handlelength=3.5, **beside)


def _color(line: Line, theme: Theme) -> str | tuple[float, ...]:
    if line.shade is None:
        return theme.colors[line.color % CYCLE]
    low, high = theme.shades
    return matplotlib.colormaps["viridis"](low + line.shade * (high - low))
