"""Published tables beside the same numbers of the built models."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable, Collection
from typing import Any

from bnn_keras import accounting
from bnn_keras.papers import published
from bnn_keras.papers.measures import METRICS

ACCURACIES = ("top1", "top5")

# How a figure compares with ours.
EQUAL = "equal"  # rounded to the printed digits
TRUNCATED = "truncated"  # equal, if further digits are dropped instead of rounded
DIFFERS = "differs"
ONLY = "published only"  # not built here


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number in a published table.

    Args:
        metric: a key of `METRICS`.
        printed: the number as it is printed, in the metric's unit.
        ours: of the built model, in the same unit; None if it is not built here.
        note: why the two differ.
    """

    metric: str
    printed: str
    ours: float | None
    note: str = ""

    @property
    def verdict(self) -> str:
        """How the two compare: `EQUAL`, `TRUNCATED`, `DIFFERS` or `ONLY`."""
        if self.ours is None:
            return ONLY
        step = 10.0**-self.digits
        if abs(self.ours - self.value) <= step / 2 * (1 + 1e-9):
            return EQUAL
        return TRUNCATED if math.isclose(math.floor(self.ours / step) * step, self.value) else DIFFERS

    @property
    def value(self) -> float:
        """The published number."""
        return float(self.printed.lstrip("~"))

    @property
    def digits(self) -> int:
        """How many digits are printed after the decimal point."""
        return len(self.printed.partition(".")[2])

    @property
    def difference(self) -> float | None:
        """Ours minus the published number."""
        return None if self.ours is None else self.ours - self.value


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of a published table: a network, its accuracies in percent and its figures."""

    label: str
    model: str | None
    settings: dict
    accuracies: dict[str, str]
    figures: tuple[Figure, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """A published table, the reference that it is from, and its rows."""

    name: str
    title: str
    source: str
    lines: tuple[Line, ...]


# The profile of a network, by its name, its settings as sorted pairs, and whether dense layers count.
Count = Callable[[str, tuple[tuple[str, Any], ...], bool], accounting.Profile]


def compare(
    count: Callable[..., accounting.Profile],
    models: Collection[str],
    tables: list[dict] | None = None,
) -> list[Table]:
    """Count every network of the published tables that can be built.

    Args:
        count: gives the profile of a network, by its name and settings; `dense=True` counts the
            operations of dense layers too.
        models: the names that `count` takes; other networks are published only.
        tables: as `published_tables` gives them; None means all of them.
    """

    @functools.cache
    def count_once(model: str, settings: tuple, dense: bool) -> accounting.Profile:
        return count(model, dict(settings), dense=dense)

    return [
        Table(
            table["name"],
            table["title"],
            table["source"],
            tuple(_compare_row(row, count_once, models) for row in table["rows"]),
        )
        for table in (published_tables() if tables is None else tables)
    ]


def published_tables() -> list[dict]:
    """The tables of all papers and of the authors' released runs, in one form."""
    found = [
        {**table, "name": f"{paper['paper']}, {table['name']}", "source": paper["reference"]}
        for paper in published.papers()
        for table in paper["tables"]
    ]
    return [*found, _table_of_runs()]


def _table_of_runs() -> dict:
    keys = [*METRICS, *ACCURACIES]
    rows = [
        {
            "label": f"{run['published_as']}, {run['stem']} stem",
            "model": run["model"],
            "settings": {"stem": run["stem"]},
            "published": {key: str(run[key]) for key in keys if key in run},
        }
        for run in published.runs()["runs"]
    ]
    title = "The released runs of the MeliusNet paper"
    return {"name": "Runs", "title": title, "source": published.runs()["source"], "rows": rows}


def _compare_row(row: dict, count: Count, models: Collection[str]) -> Line:
    settings, notes = row.get("settings", {}), row.get("notes", {})
    profile = compared = None
    if row.get("model") in models and set(row["published"]) - set(ACCURACIES):
        settings, others = (_hashable(row.get(key, settings)) for key in ("settings", "float_settings"))
        profile, compared = (
            count(row["model"], tuple(sorted(found.items())), row.get("dense", False))
            for found in (settings, others)
        )
    figures = tuple(
        Figure(metric, printed, _ours(row, profile, compared, metric), notes.get(metric, ""))
        for metric, printed in row["published"].items()
        if metric not in ACCURACIES
    )
    accuracies = {key: value for key, value in row["published"].items() if key in ACCURACIES}
    return Line(row["label"], row.get("model"), settings, accuracies, figures)


def _hashable(settings: dict) -> dict:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


def _ours(
    row: dict, profile: accounting.Profile | None, compared: accounting.Profile | None, metric: str
) -> float | None:
    if "runs" in row:
        values = [float(printed) for printed in row["runs"]]
        return statistics.mean(values) if metric == "mean" else statistics.stdev(values)
    if profile is None or compared is None:
        return None
    float_of = METRICS[metric].float_of
    number = _measure(profile, metric, row.get("part", {}))
    return number if float_of is None else float_of(compared) / number


def _measure(profile: accounting.Profile, metric: str, part: dict) -> float:
    selected = accounting.Profile(profile.name, tuple(row for row in profile.rows if _is_in(row, part)))
    measure = METRICS[metric]
    if measure.value_of is None:
        return 100 * selected.ops / profile.ops
    number = measure.value_of(selected)
    return number if measure.unit == 1 else number / measure.unit


def _is_in(row: accounting.Row, part: dict) -> bool:
    """Whether a row belongs to a part of the network: a stage, kernels of one size, 32-bit kernels."""
    kernel = list(row.kernel_shapes[0][:2]) if row.kernel_shapes else None
    return (
        row.stage == part.get("stage", row.stage)
        and kernel == part.get("kernel", kernel)
        and (row.flops > 0 or not part.get("float", False))
    )
