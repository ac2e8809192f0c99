"""The charts of flips (MeliusNet, supplement, figure 4): the first and the last binary convolution."""

from collections.abc import Mapping

from bnn_keras import flips
from bnn_keras.report.charts import Chart, Line
from bnn_keras.run_folder import Table

STYLES = ("-", "--", "-.", ":")


def of(table: Table) -> list[Chart]:
    """For the first and the last binary kernel of a run a chart with a line for each percentile.

    Args:
        table: a run's flips.csv.
    """
    return [_chart(f"Flips: {place}, {kernel}", _percentiles(table, kernel)) for place, kernel in ends(table)]


def compared(tables: Mapping[str, Table]) -> list[list[Chart]]:
    """The first and the last kernel in a row each, a chart for each percentile, a line for each run.

    Args:
        tables: flips.csv of runs of the same network, by what the runs are to be called.
    """
    return [
        [
            _chart(f"{place}: {_ordinal(percentile)}", _runs(tables, kernel, percentile))
            for percentile in flips.PERCENTILES
        ]
        for place, kernel in ends(next(iter(tables.values())))
    ]


def ends(table: Table) -> list[tuple[str, str]]:
    """(place, name) of the first and the last binary kernel; one or none where there are no two."""
    kernels = kernels_of(table)
    return list(zip(("first", "last"), [*kernels[:1], *kernels[1:][-1:]], strict=False))


def kernels_of(table: Table) -> list[str]:
    """The names of the binary kernels, in the network's order."""
    return list(dict.fromkeys(row["kernel"] for row in table.rows))


def _chart(title: str, lines: list[Line]) -> Chart:
    return Chart(title, lines, y_label="flips of a weight in an epoch", counts=True)


def _percentiles(table: Table, kernel: str) -> list[Line]:
    last = len(flips.PERCENTILES) - 1
    return [
        Line(_ordinal(percentile), *_values(table, kernel, percentile), shade=i / last)
        for i, percentile in enumerate(flips.PERCENTILES)
    ]


def _runs(tables: Mapping[str, Table], kernel: str, percentile: int) -> list[Line]:
    return [
        Line(run, *_values(table, kernel, percentile), style=STYLES[i % len(STYLES)], color=i)
        for i, (run, table) in enumerate(tables.items())
    ]


def _ordinal(percentile: int) -> str:
    return "maximum" if percentile == 100 else f"{percentile}th percentile"


def _values(table: Table, kernel: str, percentile: int) -> tuple[list[float], list[float]]:
    rows = [row for row in table.rows if row["kernel"] == kernel]
    return [float(row["epoch"]) for row in rows], [float(row[f"p{percentile}"]) for row in rows]
