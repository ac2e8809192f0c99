"""Published tables beside the same numbers of the built models."""

import dataclasses
import functools
import math
from collections.abc import Callable, Collection

from bnn_keras import accounting, published

# What the unit of a figure is, and how it reads.
UNITS = {
    "params": (1, "parameters"),
    "binary_params": (1, "binary parameters"),
    "weights": (1, "weights"),
    "size_mib": (1, "size, MiB"),
    "size_mb": (1, "size, 10⁶ bytes"),
    "bops": (1e9, "BOPs, 10⁹"),
    "flops": (1e8, "FLOPs, 10⁸"),
    "ops": (1e8, "OPs, 10⁸"),
    "percent": (1, "share of OPs, %"),
}
ACCURACIES = ("top1", "top5")

EQUAL = "equal"  # to the printed digits
CUT = "cut"  # equal but for digits that were dropped instead of rounded
DIFFERS = "differs"
ONLY = "published only"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One printed number.

    Args:
        metric: a key of `UNITS`.
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
    count: Callable[[str, dict], accounting.Profile],
    models: Collection[str],
    tables: list[dict] | None = None,
) -> list[Table]:
    """Count every network of the published tables that can be built.

    Args:
        count: the profile of a model, by its name and settings.
        models: the names that `count` takes; what a paper has besides is published only.
        tables: as `published_tables` gives them; all of them by default.
    """
    profiles = functools.cache(lambda model, settings: count(model, dict(settings)))
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
    keys = [*UNITS, *ACCURACIES]
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
    if row.get("model") in models:
        profile = profiles(row["model"], tuple(sorted(settings.items())))
    figures = tuple(
        Figure(
            metric, printed, profile and _measure(profile, metric, row.get("part", {})), notes.get(metric, "")
        )
        for metric, printed in row["published"].items()
        if metric not in ACCURACIES
    )
    accuracies = {key: value for key, value in row["published"].items() if key in ACCURACIES}
    return Line(row["label"], row.get("model"), settings, accuracies, figures)


def _measure(profile: accounting.Profile, metric: str, part: dict) -> float:
    selected = accounting.Profile(profile.name, tuple(row for row in profile.rows if _is_in(row, part)))
    if metric == "weights":
        return sum(row.params for row in selected.rows if row.kernel_shapes)
    if metric == "percent":
        return 100 * selected.ops / profile.ops
    if metric == "size_mb":
        return selected.size_mib * 2**20 / 1e6
    unit = UNITS[metric][0]
    number = getattr(selected, metric)
    return number if unit == 1 else number / unit


def _is_in(row: accounting.Row, part: dict) -> bool:
    """Whether a row belongs to a part of the network: a stage, kernels of a size, 32-bit ones."""
    kernel = list(row.kernel_shapes[0][:2]) if row.kernel_shapes else None
    return (
        row.stage == part.get("stage", row.stage)
        and kernel == part.get("kernel", kernel)
        and (row.flops > 0 or not part.get("float", False))
    )
