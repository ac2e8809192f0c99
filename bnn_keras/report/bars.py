"""Bar charts as data: drawn, and described in words for readers who cannot see them."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from bnn_keras.report.charts import Theme

THICKNESS = 0.8  # of all bars with one name, where the distance of two names is 1


@dataclasses.dataclass(frozen=True)
class Series:
    """Bars of one colour.

    Args:
        label: for the legend.
        values: one for each name; None for no bar.
        color: index of a colour.
    """

    label: str
    values: Sequence[float | None]
    color: int


@dataclasses.dataclass(frozen=True)
class Bars:
    """A panel with horizontal bars, the first name at the top.

    Args:
        title: above it.
        names: of the rows.
        series: in the order of the legend, drawn below each other in each row.
        x_label: what the bars measure.
    """

    title: str
    names: Sequence[str]
    series: Sequence[Series]
    x_label: str

    @property
    def height(self) -> float:
        """Inches."""
        return 1.1 + 0.3 * len(self.names)

    def description(self) -> str:
        """The chart in words."""
        rows = [
            f"{name}: "
            + ", ".join(
                f"{series.values[number]:.3g} {series.label}"
                for series in self.series
                if series.values[number] is not None
            )
            for number, name in enumerate(self.names)
        ]
        return f"{self.title}, {self.x_label}. {'; '.join(rows)}."

    def draw(self, axes: Axes, theme: "Theme") -> None:
        """Draw it."""
        height = THICKNESS / len(self.series)
        for place, series in enumerate(self.series):
            rows = [row for row, value in enumerate(series.values) if value is not None]
            middles = np.array(rows) + (place - (len(self.series) - 1) / 2) * height
            bars = axes.barh(
                middles,
                [value for value in series.values if value is not None],
                height,
                color=theme.colors[series.color],
                label=series.label,
            )
            look: Any = {"fmt": "%.3g", "padding": 2, "fontsize": "x-small", "color": theme.text}
            axes.bar_label(bars, **look)
        axes.set_yticks(range(len(self.names)), self.names, fontsize="small")
        axes.set_ylim(len(self.names) - 0.4, -0.6)
        axes.margins(x=0.12)
        axes.set_title(self.title, fontsize="medium", wrap=True)
        axes.set_xlabel(self.x_label)
        axes.tick_params(axis="y", length=0)
        axes.legend(frameon=False, fontsize="small", loc="lower right")  # the last bars are the shortest
