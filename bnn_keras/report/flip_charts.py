"""Charts of the flips in the first and the last binary convolution (MeliusNet, supplement, figure 4)."""

from collections.abc import Mapping

from bnn_keras.report.charts import Chart, Line
from bnn_keras.runs.table import FLIP_COLUMNS, PERCENTILES, Table

STYLES = ("-", "--", "-.", ":")


def flip_charts(table: Table) -> list[Chart]:
    """A chart for the first and one for the last binary kernel, with a line for each percentile.

    Args:
        table: flips.csv of a run.
    """
    return [
        _count_chart(f"Flips: {place}, {kernel}", _percentiles(table, kernel))
        for place, kernel in first_and_last(table)
    ]


def compare_runs(tables: Mapping[str, Table]) -> list[list[Chart]]:
    """Two rows of charts, for the first and the last binary kernel.

    The first chart of a row shows the share of weights that flipped at all, in every run; the others
    show the percentiles of one run each.

    Args:
        tables: flips.csv of runs of the same network, by the names of the runs.
    """
    rows = []
    for place, kernel in first_and_last(next(iter(tables.values()))):
        percentiles = {run: _percentiles(table, kernel) for run, table in tables.items()}
        top = 1.2 * max(max(line.y) for lines in percentiles.values() for line in lines)
        unstable = [_unstable(i, run, table, kernel) for i, (run, table) in enumerate(tables.items())]
        shares = Chart(f"{place}: flipped at all", unstable, y_label="% of the weights", y_scale="log")
        rows.append(
            [shares, *(_count_chart(f"{place}: {run}", lines, top) for run, lines in percentiles.items())]
        )
    return rows


def first_and_last(table: Table) -> list[tuple[str, str]]:
    """("first", name) and ("last", name) of the binary kernels in a table, as far as there are any."""
    table.require(FLIP_COLUMNS)
    kernels = list(dict.fromkeys(row["kernel"] for row in table.rows))
    return list(zip(("first", "last"), [*kernels[:1], *kernels[1:][-1:]], strict=False))


def _count_chart(title: str, lines: list[Line], top: float | None = None) -> Chart:
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
