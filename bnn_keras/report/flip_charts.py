"""The charts of flips (MeliusNet, supplement, figure 4): the first and the last binary convolution."""

from collections.abc import Mapping

from bnn_keras.report.charts import Chart, Line
from bnn_keras.runs.table import PERCENTILES, Table

STYLES = ("-", "--", "-.", ":")


def of(table: Table) -> list[Chart]:
    """For the first and the last binary kernel of a run a chart with a line for each percentile.

    Args:
        table: a run's flips.csv.
    """
    return [
        _counts(f"Flips: {place}, {kernel}", _percentiles(table, kernel)) for place, kernel in ends(table)
    ]


def compared(tables: Mapping[str, Table]) -> list[list[Chart]]:
    """The first and the last kernel in a row each: what flipped at all, then run by run the percentiles.

    Args:
        tables: flips.csv of runs of the same network, by what the runs are to be called.
    """
    rows = []
    for place, kernel in ends(next(iter(tables.values()))):
        percentiles = {run: _percentiles(table, kernel) for run, table in tables.items()}
        top = 1.2 * max(max(line.y) for lines in percentiles.values() for line in lines)
        unstable = [_unstable(i, run, table, kernel) for i, (run, table) in enumerate(tables.items())]
        shares = Chart(f"{place}: flipped at all", unstable, y_label="% of the weights", y_scale="log")
        rows.append([shares, *(_counts(f"{place}: {run}", lines, top) for run, lines in percentiles.items())])
    return rows


def ends(table: Table) -> list[tuple[str, str]]:
    """(place, name) of the first and the last binary kernel; one or none where there are no two."""
    kernels = kernels_of(table)
    return list(zip(("first", "last"), [*kernels[:1], *kernels[1:][-1:]], strict=False))


def kernels_of(table: Table) -> list[str]:
    """The names of the binary kernels, in the network's order."""
    return list(dict.fromkeys(row["kernel"] for row in table.rows))


def _counts(title: str, lines: list[Line], top: float | None = None) -> Chart:
    return Chart(title, lines, y_label="flips of a weight in an epoch", y_scale="counts", y_top=top)


def _percentiles(table: Table, kernel: str) -> list[Line]:
    last = len(PERCENTILES) - 1
    return [
        Line(_ordinal(percentile), *_values(table, kernel, f"p{percentile}"), shade=i / last)
        for i, percentile in enumerate(PERCENTILES)
    ]


def _unstable(number: int, run: str, table: Table, kernel: str) -> Line:
    epochs, stable = _values(table, kernel, "stable")
    shares = [100 * (1 - share) for share in stable]
    return Line(run, epochs, shares, style=STYLES[number % len(STYLES)], color=number)


def _ordinal(percentile: int) -> str:
    return "maximum" if percentile == 100 else f"{percentile}th percentile"


def _values(table: Table, kernel: str, column: str) -> tuple[list[float], list[float]]:
    rows = [row for row in table.rows if row["kernel"] == kernel]
    return [float(row["epoch"]) for row in rows], [float(row[column]) for row in rows]
