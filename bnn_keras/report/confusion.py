"""A confusion matrix as a picture."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from bnn_keras.errors import UserError
from bnn_keras.report.charts import LIGHT

NUMBERED = 25  # classes; with more of them, counts have no room in the cells
NAMED = 150  # classes; with more of them, names have no room at the axes
MOST = 2000  # classes; a pixel each
LONGEST = 22  # characters of a name
DPI = 110


class Scale(NamedTuple):
    """The colours of shares.

    Args:
        name: of what has these colours.
        colors: matplotlib's name of the scale.
        top: share with the darkest colour; larger ones have it too.
    """

    name: str
    colors: str
    top: float

    @property
    def norm(self) -> PowerNorm:
        """From a share to a place on the scale; its root, as a few per cent of one mistake are many."""
        return PowerNorm(0.5, 0, self.top, clip=True)


# The colour-blind can tell them apart.
RIGHT, WRONG = Scale("right", "Blues", 1), Scale("wrong", "Oranges", 0.3)
TICKS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1)


def check(classes: int) -> None:
    """Check that a matrix has room in a picture.

    Raises:
        UserError: it has too many classes.
    """
    if classes > MOST:
        raise UserError(f"A picture has room for {MOST:,} classes. Received: {classes:,}.")


def draw(confusion: np.ndarray, class_names: Sequence[str], title: str) -> bytes:
    """Draw a row for each true class, and a column for each predicted one.

    The colour of a cell is its share of the images of its row: blue where the prediction is right, orange
    where it is wrong. For few classes, the number of images is in the cell.

    Args:
        confusion: number of images by class, int64 [true, predicted].
        class_names: by class.
        title: above the picture.

    Returns:
        A PNG file.

    Raises:
        UserError: it has more than `MOST` classes.
    """
    classes = len(class_names)
    check(classes)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    names = [name if len(name) <= LONGEST else name[: LONGEST - 1] + "…" for name in class_names]
    # The name of a class may look like a formula.
    with matplotlib.rc_context({"text.parse_math": False, "text.color": LIGHT.text}):
        figure = Figure(figsize=_size(names), layout="constrained")
        axes = figure.subplots()
        is_right = np.eye(classes, dtype=bool)
        # From the outside to the inside, as colour bars are placed.
        for chosen, scale in ((~is_right, WRONG), (is_right, RIGHT)):
            drawn = _draw(axes, np.where(chosen, shares, 0), scale)
            if classes > NUMBERED:
                _draw_bar(figure, drawn, axes, scale)
        if classes <= NUMBERED:
            _write_counts(axes, confusion, shares)
        _label(axes, names)
        axes.set_title(title, fontsize="medium")
        file = io.BytesIO()
        options: Any = {"metadata": {"Software": None}, "facecolor": LIGHT.background}
        figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight", **options)
    return file.getvalue()


def _draw(axes: Axes, shares: np.ndarray, scale: Scale) -> ScalarMappable:
    """Draw the cells of one colour; those of no image stay empty."""
    look: Any = {"cmap": scale.colors, "norm": scale.norm}
    classes = len(shares)
    if classes <= NAMED:
        return axes.imshow(np.ma.masked_equal(shares, 0), interpolation="nearest", **look)
    # A cell would be as small as a pixel: the larger the share, the larger a dot.
    order = np.argsort(shares, axis=None)[np.count_nonzero(shares == 0) :]
    true, predicted = np.unravel_index(order, shares.shape)
    found = shares[true, predicted]
    axes.set(xlim=(-1, classes), ylim=(classes, -1), aspect="equal")
    return axes.scatter(predicted, true, 1 + 40 * scale.norm(found), found, linewidths=0, **look)


def _draw_bar(figure: Figure, drawn: ScalarMappable, axes: Axes, scale: Scale) -> None:
    bar = figure.colorbar(drawn, ax=axes, shrink=0.5, aspect=30, pad=0.02)
    ticks = [tick for tick in TICKS if tick <= scale.top]
    labels = [f"{'≥ ' if tick == scale.top < 1 else ''}{100 * tick:g} %" for tick in ticks]
    bar.set_ticks(ticks, labels=labels, color=LIGHT.text, fontsize="small")
    if scale is WRONG:
        bar.set_label("share of the images of the true class", color=LIGHT.text)
    bar.ax.set_title(scale.name, fontsize="medium")
    bar.outline.set_visible(False)


def _size(names: Sequence[str]) -> tuple[float, float]:
    """Inches."""
    classes = len(names)
    if classes > NAMED:
        return 13, 11.5
    longest = max(map(len, names))
    if classes <= NUMBERED:
        edge = max(2.5, 0.45 * classes) + 0.08 * longest
    else:
        edge = max(5.5, 0.115 * classes) + 0.055 * longest
    return edge + 2, edge + 0.8


def _label(axes: Axes, names: Sequence[str]) -> None:
    classes = len(names)
    has_names = classes <= NAMED
    axes.set_xlabel("predicted class" if has_names else "predicted class, by number", color=LIGHT.text)
    axes.set_ylabel("true class" if has_names else "true class, by number", color=LIGHT.text)
    axes.tick_params(colors=LIGHT.text, length=0 if has_names else 3)
    for side in axes.spines.values():
        side.set_color(LIGHT.grid)
    if not has_names:
        return
    size = 9 if classes <= NUMBERED else 6
    rotation = 0 if max(map(len, names)) <= 3 and classes <= NUMBERED else 90
    axes.set_xticks(range(classes), names, fontsize=size, rotation=rotation)
    axes.set_yticks(range(classes), names, fontsize=size)
    # Lines between the cells lead from a name to its mistakes.
    axes.set_xticks(np.arange(classes - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(classes - 1) + 0.5, minor=True)
    axes.grid(which="minor", color=LIGHT.grid, linewidth=0.5)
    axes.tick_params(which="minor", length=0)


def _write_counts(axes: Axes, confusion: np.ndarray, shares: np.ndarray) -> None:
    size = 8 if confusion.max() < 10_000 else 6
    for true, predicted in zip(*np.nonzero(confusion), strict=True):
        norm = (RIGHT if true == predicted else WRONG).norm
        color = "white" if norm(shares[true, predicted]) > 0.6 else LIGHT.text
        axes.text(
            predicted, true, str(confusion[true, predicted]), color=color, size=size, ha="center", va="center"
        )
