"""The tables of a run: history.csv, flips.csv."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from bnn_keras import files

# The columns of flips.csv: percentiles of flips over the weights of a kernel.
PERCENTILES = (50, 75, 90, 95, 99, 100)
FLIP_COLUMNS = ("epoch", "kernel", "weights", "mean", "stable", *(f"p{p}" for p in PERCENTILES))


class Table:
    """A CSV file that is written whole at every change.

    Args:
        path: of the file; rows that are already there are read.
        columns: in order; the first is "epoch", counted from 1.
    """

    def __init__(self, path: Path, columns: Sequence[str]):
        self.path, self.columns = path, tuple(columns)
        self.rows: list[dict] = []
        if path.is_file():
            with open(path, newline="", encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))

    def cut(self, epochs: int) -> None:
        """Forget the rows behind so many epochs."""
        self.rows = [row for row in self.rows if int(row["epoch"]) <= epochs]
        self._write()

    def append(self, rows: Sequence[Mapping]) -> None:
        """Add rows at the end."""
        self.rows += [dict(row) for row in rows]
        self._write()

    def column(self, name: str) -> list[float]:
        """A column of numbers."""
        return [float(row[name]) for row in self.rows]

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.path, text.getvalue())
