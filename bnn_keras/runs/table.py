"""The tables of a run: history.csv and flips.csv."""

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from bnn_keras import files
from bnn_keras.errors import UserError

AT_MOST = 2**30  # bytes
EPOCH, TEXT = "epoch", "kernel"  # a column of every table, and the only one that does not hold numbers
PERCENTILES = (50, 75, 90, 95, 99, 100)  # of the flips of a weight, over the weights of a kernel
FLIP_COLUMNS = ("epoch", "kernel", "weights", "mean", "stable", *(f"p{p}" for p in PERCENTILES))


class Table:
    """A CSV file that is rewritten at every change.

    Args:
        path: of the file, whose rows are read if it exists.
        columns: their names in order; the first is "epoch", counted from 1.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)
        self.rows: list[dict] = []
        if path.is_file():
            self.rows = _read(path)

    def cut(self, epochs: int) -> None:
        """Remove the rows after this number of epochs."""
        kept = [epoch <= epochs for epoch in self.column(EPOCH)]
        self.rows = list(itertools.compress(self.rows, kept))
        self._write()

    def append(self, rows: Sequence[Mapping]) -> None:
        """Add rows at the end."""
        self.rows += [dict(row) for row in rows]
        self._write()

    def column(self, name: str) -> list[float]:
        """The numbers in a column.

        Raises:
            UserError: the table has no such column.
        """
        self.require((name,))
        return [float(row[name]) for row in self.rows]

    def require(self, columns: Sequence[str]) -> None:
        """Raise UserError if the rows lack one of these columns."""
        for name in columns:
            if any(name not in row for row in self.rows):
                raise UserError(f"{self.path} has no column {name}.")

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.path, text.getvalue())


def _read(path: Path) -> list[dict]:
    lines = files.read_text(path, AT_MOST).splitlines()
    try:
        rows = list(csv.DictReader(lines, strict=True))
    except csv.Error as error:
        raise UserError(f"{path} is not a table: {error}.") from error
    for number, row in enumerate(rows, start=1):
        if EPOCH not in row or not all(name == TEXT or _is_number(value) for name, value in row.items()):
            raise UserError(f"{path} is damaged: row {number} has no {EPOCH}, or a value that is no number.")
    return rows


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True
