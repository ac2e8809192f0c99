"""What the files that a run was converted to cost on a device, before and after the rewrites."""

import dataclasses
from pathlib import Path

from bnn_keras.accounting.cost.words import millions
from bnn_keras.errors import UserError
from bnn_keras.json_file import read_json
from bnn_keras.report import page
from bnn_keras.report.bars import Bars, Series
from bnn_keras.settings.runtime import LCE_XNNPACK

COLUMNS = {"tflite": "TFLite's kernels", "xnnpack": "XNNPACK"}
SMALLEST = 0.005  # of all instructions; kinds below it share a row
OTHERS, FLOOR = "others", "floor of the binary part"
Kinds = dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class _Applied:
    sentence: str


@dataclasses.dataclass(frozen=True)
class _Rewrites:
    runtime: str
    applied: tuple[_Applied, ...]


@dataclasses.dataclass(frozen=True)
class _Instructions:
    kinds: Kinds
    kinds_without_rewrites: Kinds
    binary_floor: float


@dataclasses.dataclass(frozen=True)
class _Manifest:
    """What is read of the manifest of a .tflite file; older ones do not have it."""

    rewrites: _Rewrites | None = None
    estimated_arm64_instructions: _Instructions | None = None


def section(folder: Path) -> str:
    """A part of the page for the files in a run folder; "" if there is none with an estimate."""
    files = [path for path in sorted(folder.glob("*.tflite")) if path.with_suffix(".json").is_file()]
    parts = [part for path in files for part in _parts(path)]
    return page.section("On a device", *parts) if parts else ""


def _parts(path: Path) -> list[str]:
    try:
        manifest = read_json(path.with_suffix(".json"), _Manifest, "the manifest of a .tflite file")
    except UserError as error:
        return [page.paragraph(str(error))]
    found, rewrites = manifest.estimated_arm64_instructions, manifest.rewrites
    if found is None or rewrites is None:
        return []
    column = "xnnpack" if rewrites.runtime == LCE_XNNPACK else "tflite"
    before, after = (_total(kinds, column) for kinds in (found.kinds_without_rewrites, found.kinds))
    return [
        page.paragraph(
            f"{path.name}, made for {COLUMNS[column]}: about {millions(after)} million ARM64 instructions "
            f"for an image, {millions(before)} without rewrites. The binary convolutions take at least "
            f"{millions(found.binary_floor)}. This is an estimate of instructions, not of time."
        ),
        page.figures([_bars(found, column)]),
        page.folded(
            "every rewrite",
            "<ul>",
            *(f"<li>{page.escaped(one.sentence)}</li>" for one in rewrites.applied),
            "</ul>",
        ),
    ]


def _total(kinds: Kinds, column: str) -> float:
    return sum(costs[column] for costs in kinds.values())


def _bars(found: _Instructions, column: str) -> Bars:
    before, after = found.kinds_without_rewrites, found.kinds
    least = SMALLEST * _total(before, column)
    costs = {
        kind: [kinds.get(kind, {}).get(column, 0.0) for kinds in (before, after)]
        for kind in (*before, *after)
    }
    large = sorted((kind for kind in costs if max(costs[kind]) >= least), key=lambda kind: -max(costs[kind]))
    small = [cost for kind, cost in costs.items() if kind not in large]
    rows = {FLOOR: [0.0, found.binary_floor], **{kind: costs[kind] for kind in large}}
    if small:
        rows[OTHERS] = [sum(values) for values in zip(*small, strict=True)]
    without, rewritten = ([cost[place] / 1e6 or None for cost in rows.values()] for place in (0, 1))
    return Bars(
        f"Operations with {COLUMNS[column]}",
        list(rows),
        [Series("without rewrites", without, 1), Series("as converted", rewritten, 0)],
        "million instructions",
    )
