"""A drawing of cells, as in the figures of BNAS's supplement."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

# Not pyplot, which would ask for a screen and keep every figure.
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from bnn_keras.settings.search import Space

PANEL = (9.0, 4.2)  # inches
INPUTS = (r"$c_{k-2}$", r"$c_{k-1}$")
OUTPUT = r"$c_k$"
COLORS = {"input": "#cfe8cf", "node": "#cfe0f3", "output": "#f6e3b4", "shortcut": "#c0392b"}
INK, FAINT = "#30343b", "#9aa0a8"
STEP = 2.0  # between two nodes
HEIGHTS = (1.1, -1.1)  # of the inputs
NODE_HEIGHT = 0.5  # of the nodes, in turn above and below the middle
SHORTCUT_HEIGHT = -2.7
LABEL_AT = 0.45  # of the way along an edge


def draw(cells: Mapping[str, Sequence[str]], space: Space, has_shortcut: bool = True) -> bytes:
    """Draw cells one below another, as a PNG file.

    Args:
        cells: by form; see `bnn_keras.search.genotypes.choose`.
        space: that they are from.
        has_shortcut: the output of the cell before is added to that of each cell, the red line.
    """
    figure = Figure(figsize=(PANEL[0], PANEL[1] * len(cells)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(cells), squeeze=False)[:, 0]
    for axes, (form, edges) in zip(panels, cells.items(), strict=True):
        axes.set_title(f"{form} cell")
        _draw_cell(axes, edges, space, has_shortcut)
    file = io.BytesIO()
    canvas.print_png(file)
    return file.getvalue()


def _draw_cell(axes: Axes, edges: Sequence[str], space: Space, has_shortcut: bool) -> None:
    places = {0: (0.0, HEIGHTS[0]), 1: (0.0, HEIGHTS[1])}
    for i, node in enumerate(space.targets):
        places[node] = (STEP * (i + 1), NODE_HEIGHT * (1, -1)[i % 2])
    output = (STEP * (len(space.targets) + 1), 0.0)
    for number, text in enumerate(edges):
        operation, source = text.split()
        node = space.targets[number // space.edges_of_a_node]
        is_zero = operation == space.zeroise
        _arrow(axes, places[int(source)], places[node], operation, is_zero)
    for node in space.targets:
        _arrow(axes, places[node], output, "", False)
    if has_shortcut:
        below = (output[0], SHORTCUT_HEIGHT)
        axes.plot(
            *zip(places[1], (0.0, below[1]), below, output, strict=True), color=COLORS["shortcut"], lw=2
        )
    for node, place in places.items():
        text, color = (INPUTS[node], "input") if node in (0, 1) else (str(node), "node")
        _box(axes, place, text, COLORS[color])
    _box(axes, output, OUTPUT, COLORS["output"])
    axes.set(xlim=(-0.8, output[0] + 0.8), ylim=(SHORTCUT_HEIGHT - 0.2, 2.4))
    axes.set_axis_off()


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], label: str, is_zero: bool
) -> None:
    steps = (end[0] - start[0]) / STEP
    # Longer arrows pass the nodes between their ends farther away, above or below them.
    height = 0.0 if steps <= 1 else 0.4 + 0.28 * steps
    side = 1 if start[1] >= 0 else -1
    bend = -side * 2 * height / (end[0] - start[0])
    color = FAINT if is_zero else INK
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=11,
            shrinkA=14,
            shrinkB=14,
            color=color,
            linestyle=":" if is_zero else "-",
            connectionstyle=f"arc3,rad={bend}",
        )
    )
    if label:
        place = _point(start, end, bend, LABEL_AT)
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(*place, label, color=color, fontsize="small", ha="center", va="center", bbox=behind)


def _point(
    start: tuple[float, float], end: tuple[float, float], bend: float, share: float
) -> tuple[float, float]:
    """A point of matplotlib's "arc3": a quadratic curve whose control point lies beside the straight line."""
    (x0, y0), (x1, y1) = start, end
    control = (x0 + x1) / 2 + bend * (y1 - y0), (y0 + y1) / 2 - bend * (x1 - x0)
    weights = (1 - share) ** 2, 2 * share * (1 - share), share**2
    x, y = (sum(w * p[axis] for w, p in zip(weights, (start, control, end), strict=True)) for axis in (0, 1))
    return x, y


def _box(axes: Axes, place: tuple[float, float], text: str, color: str) -> None:
    shape = {"boxstyle": "round,pad=0.4", "facecolor": color, "edgecolor": INK}
    axes.text(*place, text, ha="center", va="center", bbox=shape, zorder=3)
