"""Estimates of the instructions of each operation of a file, and their sums."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from bnn_keras.accounting.cost.unit_costs import COLUMNS, FLOOR_PER_BINARY_MAC, INT8, TABLE
from bnn_keras.accounting.cost.work import Work, work_of
from bnn_keras.tflite.flatbuffer import SEPARATOR, Flatbuffer, Op

# Operations that compute nothing: at most a copy that nobody counted.
IDLE = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of a file.

    Args:
        name: of the tensor that it computes; that of the layer in files of this project.
        kind: its name in TFLite.
        work: what it does.
        elements: number of values that it computes.
        instructions: in each of `COLUMNS`; None if the table has no unit costs for it.
    """

    name: str
    kind: str
    work: Work
    elements: int
    instructions: dict[str, float] | None


@dataclasses.dataclass(frozen=True)
class Sum:
    """Several operations together.

    Args:
        number: how many.
        macs, elements: of all of them.
        instructions: in each of `COLUMNS`.
    """

    number: int
    macs: int
    elements: int
    instructions: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Cost:
    """The estimate of a file.

    Args:
        operations: in the order of execution.
    """

    operations: list[Operation]

    @property
    def total(self) -> Sum:
        """All operations."""
        return _sum(self.operations)

    @property
    def kinds(self) -> dict[str, Sum]:
        """The operations of each kind, the most expensive kind first."""
        kinds = dict.fromkeys(operation.kind for operation in self.operations)
        sums = {kind: _sum(op for op in self.operations if op.kind == kind) for kind in kinds}
        return dict(sorted(sums.items(), key=lambda item: -item[1].instructions[COLUMNS[0]]))

    @property
    def floor(self) -> float:
        """The fewest instructions in which LCE's kernels can do the binary multiply-accumulates."""
        binary = sum(operation.work.macs for operation in self.operations if operation.work.is_binary)
        return binary * FLOOR_PER_BINARY_MAC

    @property
    def uncounted(self) -> dict[str, int]:
        """The forms of operations without unit costs, and the number of each."""
        forms = [
            f"{operation.work.form} ({operation.work.type})"
            for operation in self.operations
            if operation.instructions is None
        ]
        return {form: forms.count(form) for form in dict.fromkeys(forms)}

    @property
    def has_int8(self) -> bool:
        """Whether a processor with dot products could need fewer instructions."""
        return any(operation.work.type == INT8 for operation in self.operations)


def estimate(file: Flatbuffer) -> Cost:
    """Estimate what a file costs on ARM64.

    Args:
        file: any, not only of this project; see `bnn_keras.tflite.checking.check_tflite`.

    Example:
        >>> from pathlib import Path
        >>> from bnn_keras.tflite.checking import check_tflite
        >>> file = check_tflite(Path("meliusnet22.tflite").read_bytes(), "meliusnet22.tflite")
        >>> round(estimate(file).total.instructions["xnnpack"] / 1e6)
        266
    """
    pairs = zip(file.ops, file.graph.operators, strict=True)
    return Cost([_operation(file, op, operator) for op, operator in pairs])


def _operation(file: Flatbuffer, op: Op, operator: Any) -> Operation:
    work = work_of(file, op, operator)
    name = file.graph.tensors[op.outputs[0]].name.decode().split(SEPARATOR)[0]
    elements = sum(math.prod(file.shape(index)) for index in op.outputs)
    return Operation(name, op.name, work, elements, _instructions(work, op.name))


def _instructions(work: Work, kind: str) -> dict[str, float] | None:
    if kind in IDLE:
        return dict.fromkeys(COLUMNS, 0.0)
    costs = TABLE.get((work.form, work.type))
    if costs is None:
        return None
    return {
        column: sum(
            costs[unit].column(column) * number for unit, number in work.units.items() if unit in costs
        )
        for column in COLUMNS
    }


def _sum(operations: Iterable[Operation]) -> Sum:
    known = list(operations)
    counted = [operation.instructions for operation in known if operation.instructions is not None]
    return Sum(
        len(known),
        sum(operation.work.macs for operation in known),
        sum(operation.elements for operation in known),
        {column: sum(found[column] for found in counted) for column in COLUMNS},
    )
