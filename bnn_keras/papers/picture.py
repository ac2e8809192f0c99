"""Published accuracy against operations and against size, as points."""

import io
from collections.abc import Sequence

from bnn_keras.papers import comparison

AXES = {"ops": "operations, 10⁸ (FLOPs + BOPs / 64)", "size_mib": "size, MiB"}


# Where a label may stand beside its point, in points of type; the first free place is taken.
PLACES = [(dx, dy, side) for dy in (3, -8, 12, -17, 21, -26, 30) for dx, side in ((5, "left"), (-5, "right"))]


def points(tables: Sequence[comparison.Table], metric: str) -> dict[str, tuple[float, float, bool]]:
    """Each network's position: its own number where it is built here, else the published one.

    Returns:
        By label: `metric`, top-1 accuracy in percent (the best published one of the same network),
        and whether the first is ours.
    """
    found: dict[str, tuple[float, float, bool]] = {}
    for table in tables:
        for line in table.lines:
            for figure in line.figures:
                if figure.metric == metric and "top1" in line.accuracies:
                    ours = figure.ours is not None
                    x = figure.ours if figure.ours is not None else figure.value
                    label = _label(line) if ours else line.label
                    top1 = float(line.accuracies["top1"])
                    if label not in found or found[label][1] < top1:
                        found[label] = (x, top1, ours)
    return found


def _label(line: comparison.Line) -> str:
    # The grouped stem is every binary network's own.
    settings = [str(value) for value in line.settings.values() if value != "grouped"]
    return ", ".join([str(line.model), *settings])


def draw(tables: Sequence[comparison.Table]) -> bytes:
    """A PNG with one panel for each of `AXES`."""
    # Without pyplot nothing asks for a screen, and no figure is kept.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(18, 10), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = list(zip(figure.subplots(1, len(AXES)), AXES.items(), strict=True))
    for axes, (metric, label) in panels:
        found = points(tables, metric).values()
        for ours, style in ((True, dict(color="tab:blue")), (False, dict(color="white", edgecolor="grey"))):
            chosen = [(x, y) for x, y, own in found if own == ours]
            if chosen:
                name = "counted here" if ours else "as published"
                axes.scatter(*zip(*chosen, strict=True), s=30, zorder=2, label=name, **style)
        axes.set(xlabel=label, ylabel="published top-1 on ImageNet, %", xscale="log")
        axes.margins(x=0.12)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    # Where a label fits is known only once everything has its place.
    canvas.draw()
    for axes, (metric, _) in panels:
        _write_labels(axes, points(tables, metric), canvas.get_renderer())
    file = io.BytesIO()
    canvas.print_png(file)
    return file.getvalue()


def _write_labels(axes, found: dict[str, tuple[float, float, bool]], renderer) -> None:
    taken: list = []
    for name, (x, y, _) in sorted(found.items(), key=lambda item: -item[1][1]):
        for dx, dy, side in PLACES:
            text = axes.annotate(name, (x, y), (dx, dy), textcoords="offset points", fontsize=7, ha=side)
            box = text.get_window_extent(renderer)
            if not any(box.overlaps(other) for other in taken) or (dx, dy, side) == PLACES[-1]:
                taken.append(box)
                break
            text.remove()
