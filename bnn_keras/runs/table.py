"""The tables of a run: history.csv and flips.csv."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from bnn_keras import files

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
            with open(path, newline="", encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))

    def cut(self, epochs: int) -> None:
        """Remove the rows after this number of epochs."""
        self.rows = [row for row in self.rows if int(row["epoch"]) <= epochs]
        self._write()

    def append(self, rows: Sequence[Mapping]) -> None:
        """Add rows at the end."""
        self.rows += [dict(row) for row in rows]
        self._write()

    def column(self, name: str) -> list[float]:
        """The numbers in a column."""
        return [float(row[name]) for row in self.rows]

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.path, text.getvalue())
