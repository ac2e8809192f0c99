"""Published tables beside the same numbers of the built models."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable, Collection

from bnn_keras import accounting
from bnn_keras.papers import published
from bnn_keras.papers.measures import METRICS

ACCURACIES = ("top1", "top5")

EQUAL = "equal"  # to the printed digits
CUT = "cut"  # equal but for digits that were dropped instead of rounded
DIFFERS = "differs"
ONLY = "published only"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One printed number.

    Args:
        metric: a key of `METRICS`.
        printed: as it is printed, in its unit.
        ours: of the built model, in the same unit; None if it is not built here.
        note: why it differs.
    """

    metric: str
    printed: str
    ours: float | None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.ours is None:
            return ONLY
        step = 10.0**-self.digits
        off = abs(self.ours - self.value)
        if off <= step / 2 * (1 + 1e-9):
            return EQUAL
        return CUT if math.isclose(math.floor(self.ours / step) * step, self.value) else DIFFERS

    @property
    def value(self) -> float:
        return float(self.printed.lstrip("~"))

    @property
    def digits(self) -> int:
        """Printed behind the point."""
        return len(self.printed.partition(".")[2])

    @property
    def difference(self) -> float | None:
        return None if self.ours is None else self.ours - self.value


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of a published table: a network, its accuracies in percent and its figures."""

    label: str
    model: str | None
    settings: dict
    accuracies: dict[str, str]
    figures: tuple[Figure, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """A published table, its `source` and its lines."""

    name: str
    title: str
    source: str
    lines: tuple[Line, ...]


def compare(
    count: Callable[..., accounting.Profile],
    models: Collection[str],
    tables: list[dict] | None = None,
) -> list[Table]:
    """Count every network of the published tables that can be built.

    Args:
        count: the profile of a model, by its name and settings; with dense=True as well where a row
            says that dense layers are among its operations.
        models: the names that `count` takes; what a paper has besides is published only.
        tables: as `published_tables` gives them; all of them by default.
    """
    profiles = functools.cache(lambda model, settings, more: count(model, dict(settings), **dict(more)))
    return [
        Table(
            table["name"],
            table["title"],
            table["source"],
            tuple(_line(row, profiles, models) for row in table["rows"]),
        )
        for table in (published_tables() if tables is None else tables)
    ]


def published_tables() -> list[dict]:
    """Every paper's tables and the authors' released runs, in one form."""
    found = [
        {**table, "name": f"{paper['paper']}, {table['name']}", "source": paper["reference"]}
        for paper in published.papers()
        for table in paper["tables"]
    ]
    return [*found, _runs_table()]


def _runs_table() -> dict:
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


def _line(row: dict, profiles, models: Collection[str]) -> Line:
    settings, notes = row.get("settings", {}), row.get("notes", {})
    profile = None
    if row.get("model") in models and set(row["published"]) - set(ACCURACIES):
        more = (("dense", True),) if row.get("dense") else ()
        profile = profiles(row["model"], tuple(sorted(settings.items())), more)
    figures = tuple(
        Figure(metric, printed, _ours(row, profile, metric), notes.get(metric, ""))
        for metric, printed in row["published"].items()
        if metric not in ACCURACIES
    )
    accuracies = {key: value for key, value in row["published"].items() if key in ACCURACIES}
    return Line(row["label"], row.get("model"), settings, accuracies, figures)


def _ours(row: dict, profile: accounting.Profile | None, metric: str) -> float | None:
    if "runs" in row:
        values = [float(printed) for printed in row["runs"]]
        return statistics.mean(values) if metric == "mean" else statistics.stdev(values)
    return None if profile is None else _measure(profile, metric, row.get("part", {}))


def _measure(profile: accounting.Profile, metric: str, part: dict) -> float:
    selected = accounting.Profile(profile.name, tuple(row for row in profile.rows if _is_in(row, part)))
    measure = METRICS[metric]
    if measure.of is None:
        return 100 * selected.ops / profile.ops
    number = measure.of(selected)
    return number if measure.unit == 1 else number / measure.unit


def _is_in(row: accounting.Row, part: dict) -> bool:
    """Whether a row belongs to a part of the network: a stage, kernels of a size, 32-bit ones."""
    kernel = list(row.kernel_shapes[0][:2]) if row.kernel_shapes else None
    return (
        row.stage == part.get("stage", row.stage)
        and kernel == part.get("kernel", kernel)
        and (row.flops > 0 or not part.get("float", False))
    )
