"""Estimate the ARM64 instructions of .tflite files, operation by operation.

bnn cost FILE.tflite [FILE.tflite ...] [flags]

Any .tflite file can be given, also one of another converter. The numbers are millions of executed
instructions for one image and one thread, with TFLite's own kernels and with XNNPACK, after a table of
unit costs that were counted with the real kernels. They are an estimate of instructions, not of time. Of two
files the differences are shown as well.
"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli.flags import SWITCH, Flag
from bnn_keras.errors import UserError

if TYPE_CHECKING:
    from bnn_keras.accounting.cost import Cost, Operation, Sum

HEADINGS = {
    "tflite": "TFLite's kernels",
    "xnnpack": "XNNPACK",
    "tflite_dot": "TFLite's, dot products",
    "xnnpack_dot": "XNNPACK, dot products",
}
CAPTION = "Estimated ARM64 instructions for one image, in millions: an estimate of instructions, not of time."
FLAGS = [
    Flag("layers", SWITCH, "a row for each operation, with the name of the layer", False),
    Flag("json", SWITCH, "print JSON", False),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Estimate and print."""
    if not positional:
        raise UserError("Name one or more .tflite files. Received: none.")
    found = [(Path(path).name, _estimate(path)) for path in positional]
    if values.json:
        print(json.dumps([_as_json(name, cost) for name, cost in found], indent=1))
        return
    tables = [_operations(name, cost) for name, cost in found] if values.layers else []
    print("\n\n".join([*tables, _kinds(found), *_notes(found)]))


def _estimate(path: str) -> "Cost":
    from bnn_keras import files
    from bnn_keras.accounting import cost
    from bnn_keras.tflite.checking import LARGEST_FILE, check_tflite

    return cost.estimate(check_tflite(files.read_bytes(path, LARGEST_FILE), path))


def _columns(found: "list[tuple[str, Cost]]") -> list[str]:
    """Without int8, dot products change nothing."""
    return list(HEADINGS) if any(cost.has_int8 for _, cost in found) else list(HEADINGS)[:2]


def _operations(name: str, cost: "Cost") -> str:
    columns = _columns([(name, cost)])
    rows = [_row(number, operation, columns) for number, operation in enumerate(cost.operations)]
    headings = [name, "tensor", "operation", "MACs", "elements", *(HEADINGS[column] for column in columns)]
    return _table(rows, headings, left=3)


def _row(number: int, operation: "Operation", columns: list[str]) -> list[str]:
    found = operation.instructions or {}
    figures = [f"{operation.work.macs:,}", f"{operation.elements:,}"]
    millions = [_millions(found[column], 3) if column in found else "?" for column in columns]
    return [str(number), operation.name, operation.work.form, *figures, *millions]


def _kinds(found: "list[tuple[str, Cost]]") -> str:
    columns = _columns(found)
    kinds = dict.fromkeys(kind for _, cost in found for kind in cost.kinds)
    sums = {kind: [cost.kinds.get(kind) for _, cost in found] for kind in kinds}
    rows = [[kind, *_figures(of_files, columns)] for kind, of_files in sums.items()]
    rows.append(["all", *_figures([cost.total for _, cost in found], columns)])
    floors = [f"{cost.floor / 1e6:.1f}" for _, cost in found]
    floor_cells = [cell for floor in floors for cell in ("", "", "", *[floor] * len(columns))]
    difference = [""] * len(columns) if len(found) == 2 else []
    rows.append(["floor of the binary part", *floor_cells, *difference])
    headings = ["operation"]
    for name, _ in found:
        headings += [f"{name}\nnumber", "\nMACs, M", "\nelements, M"]
        headings += [f"\n{HEADINGS[column]}" for column in columns]
    if len(found) == 2:
        headings += [f"difference\n{HEADINGS[column]}" for column in columns]
    return f"{CAPTION}\n\n{_table(rows, headings, left=1)}"


def _figures(sums: "list[Sum | None]", columns: list[str]) -> list[str]:
    cells = []
    for found in sums:
        if found is None:
            cells += [""] * (3 + len(columns))
            continue
        cells += [str(found.number), _millions(found.macs), _millions(found.elements)]
        cells += [_millions(found.instructions[column]) for column in columns]
    if len(sums) == 2:
        values = [{} if found is None else found.instructions for found in sums]
        first, second = values
        cells += [f"{(second.get(c, 0.0) - first.get(c, 0.0)) / 1e6:+.1f}" for c in columns]
    return cells


def _millions(number: float, digits: int = 1) -> str:
    return f"{number / 1e6:.{digits}f}"


def _table(rows: list, headings: list[str], left: int) -> str:
    from tabulate import tabulate

    aligned = ["left"] * left + ["right"] * (len(headings) - left)
    return tabulate(rows, headings, disable_numparse=True, colalign=aligned)


def _notes(found: "list[tuple[str, Cost]]") -> list[str]:
    return [
        f"{name}: not counted, as the table has no unit costs for it: {number} x {form}"
        for name, cost in found
        for form, number in cost.uncounted.items()
    ]


def _as_json(name: str, cost: "Cost") -> dict:
    return {
        "file": name,
        "unit": "estimated ARM64 instructions for one image, not time",
        "total": dataclasses.asdict(cost.total),
        "binary_floor": cost.floor,
        "kinds": {kind: dataclasses.asdict(found) for kind, found in cost.kinds.items()},
        "operations": [dataclasses.asdict(operation) for operation in cost.operations],
        "uncounted": cost.uncounted,
    }
