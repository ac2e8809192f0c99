"""Charts drawn as pictures; line charts as data, described in words for readers who cannot see them."""

import dataclasses
import io
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, SymmetricalLogLocator

from bnn_keras.report.bars import Bars

PANEL = (4.6, 3.1)  # inches
LEGEND_ROW = 0.19  # inches
CYCLE = 6  # colours, after which they repeat
STYLES = ("-", "--", "-.", ":")
LONGEST = 24  # characters of a label, if two are to stand side by side in a legend


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
        spread: half the width of a band around the line, of the same length; None for no band.
    """

    label: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    style: str = "-"
    color: int = 0
    shade: float | None = None
    spread: Sequence[float] | np.ndarray | None = None

    @property
    def constant(self) -> bool:
        """Whether it has one value only, or none."""
        return len({y for y in self.y if math.isfinite(y)}) <= 1

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


def numbered(number: int) -> dict[str, Any]:
    """The style and the colour of one of several unordered lines: `Line`'s arguments."""
    return {"style": STYLES[number // CYCLE % len(STYLES)], "color": number % CYCLE}


Panel = Chart | Bars


def svg(chart: Panel, theme: Theme) -> bytes:
    """Draw a chart on a transparent background."""
    return _draw_rows([[chart]], (), theme, "svg", {"Date": None}, transparent=True)


def png(rows: Sequence[Sequence[Panel]], sentences: Sequence[str] = ()) -> bytes:
    """Draw a picture that is not in a page.

    Args:
        rows: of charts; the charts of a row share its width.
        sentences: below the charts.
    """
    return _draw_rows(rows, sentences, LIGHT, "png", {"Software": None}, facecolor=LIGHT.background)


def _draw_rows(
    rows: Sequence[Sequence[Panel]],
    sentences: Sequence[str],
    theme: Theme,
    kind: str,
    metadata: dict,
    **options: Any,
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
        heights = [max(map(_height, row)) for row in rows]
        width = PANEL[0] * max(map(len, rows), default=1)
        text = "\n".join(line for each in sentences for line in textwrap.wrap(each, int(15 * width)))
        size = width, sum(heights) + LEGEND_ROW * (text.count("\n") + 2 if text else 0)
        figure = Figure(figsize=size, layout="constrained")
        if rows:
            grid = figure.add_gridspec(len(rows), height_ratios=heights)
            for number, row in enumerate(rows):
                columns = grid[number].subgridspec(1, len(row))
                for column, chart in enumerate(row):
                    _draw(figure.add_subplot(columns[column]), chart, theme)
        if text:
            figure.supxlabel(text, x=0.01, ha="left", fontsize="small")
        file = io.BytesIO()
        figure.savefig(file, format=kind, dpi=100, metadata=metadata, **options)
    return file.getvalue()


def _height(chart: Panel) -> float:
    """Inches."""
    return chart.height if isinstance(chart, Bars) else PANEL[1] + LEGEND_ROW * _legend_rows(chart)


def _draw(axes: Axes, chart: Panel, theme: Theme) -> None:
    if isinstance(chart, Bars):
        chart.draw(axes, theme)
        return
    for line in chart.lines:
        # A single point is not visible as a line.
        marker = "." if len(line.x) < 40 else ""
        color = _color(line, theme)
        axes.plot(line.x, line.y, line.style, color=color, label=line.label, marker=marker, linewidth=1.8)
        if line.spread is not None:
            low, high = np.subtract(line.y, line.spread), np.add(line.y, line.spread)
            axes.fill_between(line.x, low, high, color=color, alpha=0.2, linewidth=0)
    for mark in chart.marks:
        axes.axvline(mark, color=theme.text, linestyle=":", linewidth=1)
    axes.set_title(chart.title, fontsize="medium", wrap=True)
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
    _scale(axes, chart)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    if any(line.label for line in chart.lines):
        # Below the chart it hides no line.
        below: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncols": _legend_columns(chart)}
        axes.legend(frameon=False, fontsize="small", handlelength=3.5, **below)


def _scale(axes: Axes, chart: Chart) -> None:
    if chart.y_scale == "linear":
        axes.set_ylim(top=chart.y_top)
        return
    if chart.y_scale == "counts":
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=(1, 2, 5)))
        axes.set_ylim(bottom=-0.1, top=chart.y_top)
    else:
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(top=chart.y_top)
        low, high = map(math.log10, axes.get_ylim())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < 3 else (1,)))
    # By default, matplotlib writes powers as formulas.
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _legend_rows(chart: Chart) -> int:
    labels = [line.label for line in chart.lines if line.label]
    return math.ceil(len(labels) / _legend_columns(chart))


def _legend_columns(chart: Chart) -> int:
    return 2 if all(len(line.label) <= LONGEST for line in chart.lines) else 1


def _color(line: Line, theme: Theme) -> str | tuple[float, ...]:
    if line.shade is None:
        return theme.colors[line.color % CYCLE]
    low, high = theme.shades
    return matplotlib.colormaps["viridis"](low + line.shade * (high - low))
