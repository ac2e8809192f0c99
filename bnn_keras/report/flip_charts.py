"""Charts of the flips of binary weights (MeliusNet, supplement, figure 4)."""

from collections.abc import Mapping

from bnn_keras.report.charts import Chart, Line, numbered
from bnn_keras.runs.table import FLIP_COLUMNS, PERCENTILES, Table

FLIPPED = "Binary weights that flipped at all"
SHARE = "% of the weights, in an epoch"
EXPLANATION = (
    "The share of binary weights that changed their sign at least once in an epoch. The scale is "
    "logarithmic: an epoch in which no weight flipped has no point."
)


def share_chart(table: Table) -> Chart:
    """The share of weights that flipped at all in an epoch.

    Its lines are those of all binary weights, of the first and of the last binary kernel.

    Args:
        table: flips.csv of a run, with at least one row.
    """
    kernels = first_and_last(table)
    parts: list[tuple[str, str | None]] = [("all binary weights", None)] if len(kernels) > 1 else []
    parts += [(f"{place}: {kernel}", kernel) for place, kernel in kernels]
    lines = [
        Line(label, *flipped_shares(table, kernel), **numbered(i)) for i, (label, kernel) in enumerate(parts)
    ]
    return Chart(FLIPPED, lines, y_label=SHARE, y_scale="log")


def percentile_charts(table: Table, run: str = "") -> list[Chart]:
    """A chart for the first and one for the last binary kernel, with a line for each percentile.

    Args:
        table: flips.csv of a run.
        run: a name for the titles; "" if there is only one run.
    """
    return [
        Chart(
            ", ".join(filter(None, (run, place, kernel))),
            _percentiles(table, kernel),
            y_label="flips of a weight in an epoch",
            y_scale="counts",
        )
        for place, kernel in first_and_last(table)
    ]


def compare_runs(tables: Mapping[str, Table]) -> list[Chart]:
    """Charts of the share of weights that flipped at all, with a line for each run.

    There is a chart for the first and one for the last binary kernel.

    Args:
        tables: flips.csv of runs of the same network, by the names of the runs.
    """
    return [
        Chart(
            f"Flipped at all: {place}, {kernel}",
            [
                Line(run, *flipped_shares(table, kernel), **numbered(i))
                for i, (run, table) in enumerate(tables.items())
            ],
            y_label=SHARE,
            y_scale="log",
        )
        for place, kernel in first_and_last(next(iter(tables.values())))
    ]


def first_and_last(table: Table) -> list[tuple[str, str]]:
    """("first", name) and ("last", name) of the binary kernels in a table, as far as there are any."""
    table.require(FLIP_COLUMNS)
    kernels = list(dict.fromkeys(row["kernel"] for row in table.rows))
    return list(zip(("first", "last"), [*kernels[:1], *kernels[1:][-1:]], strict=False))


def flipped_shares(table: Table, kernel: str | None = None) -> tuple[list[float], list[float]]:
    """The epochs, and the percentage of weights that flipped at all in each of them.

    Args:
        table: flips.csv of a run.
        kernel: its name; None for all binary weights together.
    """
    table.require(FLIP_COLUMNS)
    flipped: dict[float, float] = {}
    weights: dict[float, float] = {}
    for row in table.rows:
        if kernel in (None, row["kernel"]):
            epoch, number = float(row["epoch"]), float(row["weights"])
            flipped[epoch] = flipped.get(epoch, 0) + number * (1 - float(row["stable"]))
            weights[epoch] = weights.get(epoch, 0) + number
    return list(flipped), [100 * flipped[epoch] / max(weights[epoch], 1) for epoch in flipped]


def _percentiles(table: Table, kernel: str) -> list[Line]:
    rows = [row for row in table.rows if row["kernel"] == kernel]
    epochs = [float(row["epoch"]) for row in rows]
    last = len(PERCENTILES) - 1
    return [
        Line(_ordinal(percentile), epochs, [float(row[f"p{percentile}"]) for row in rows], shade=i / last)
        for i, percentile in enumerate(PERCENTILES)
    ]


def _ordinal(percentile: int) -> str:
    return "maximum" if percentile == 100 else f"{percentile}th percentile"
