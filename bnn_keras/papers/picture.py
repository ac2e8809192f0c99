"""Published accuracy against operations and against size, as points."""

import io
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase

# Not pyplot, which would ask for a screen and keep every figure.
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bnn_keras.papers import comparison

AXES = {"ops": "operations, 10⁸ (FLOPs + BOPs / 64)", "size_mib": "size, MiB"}

# Places for a label beside its point: offsets in typographic points, and the alignment. The first free one is
# taken.
PLACES = [(dx, dy, side) for dy in (3, -8, 12, -17, 21, -26, 30) for dx, side in ((5, "left"), (-5, "right"))]


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
    """Draw a PNG with one panel for each of `AXES`."""
    figure = Figure(figsize=(18, 10), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = list(zip(figure.subplots(1, len(AXES)), AXES.items(), strict=True))
    for axes, (metric, label) in panels:
        found = find_points(tables, metric).values()
        for ours, style in ((True, dict(color="tab:blue")), (False, dict(color="white", edgecolor="grey"))):
            chosen = [(point.x, point.top1) for point in found if point.ours == ours]
            if chosen:
                name = "counted here" if ours else "as published"
                axes.scatter(*zip(*chosen, strict=True), s=30, zorder=2, label=name, **style)
        axes.set(xlabel=label, ylabel="published top-1 on ImageNet, %", xscale="log")
        axes.margins(x=0.12)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    # Where a label fits is known only after the layout.
    canvas.draw()
    for axes, (metric, _) in panels:
        _write_labels(axes, find_points(tables, metric), canvas.get_renderer())
    file = io.BytesIO()
    canvas.print_png(file)
    return file.getvalue()


def _write_labels(axes: Axes, found: dict[str, Point], renderer: RendererBase) -> None:
    taken: list = []
    for name, (x, y, _) in sorted(found.items(), key=lambda item: -item[1][1]):
        for dx, dy, side in PLACES:
            text = axes.annotate(name, (x, y), (dx, dy), textcoords="offset points", fontsize=7, ha=side)
            box = text.get_window_extent(renderer)
            if not any(box.overlaps(other) for other in taken) or (dx, dy, side) == PLACES[-1]:
                taken.append(box)
                break
            text.remove()
