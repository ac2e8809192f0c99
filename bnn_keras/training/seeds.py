"""The same training with several seeds, which shows how much of a result is chance."""

import gc
import os
import statistics
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from tabulate import tabulate

from bnn_keras import files
from bnn_keras.errors import UserError
from bnn_keras.runs import RunFolder, Table

COLUMNS = ("seed", "best_accuracy", "best_epoch")
TABLE = "seeds.csv"
Row = tuple[int | str, float, int | str]


def run(
    train: Callable[[int, Path], object],
    first: int,
    count: int | None,
    output_dir: str | os.PathLike,
    writes: bool = True,
) -> None:
    """Train once for each seed, one after another, then print and write the results.

    Each training has its own folder in `output_dir` (seed0, seed1, …) and does not depend on the
    others: a run that was stopped is resumed, a finished one is not trained again. The table seeds.csv
    has a row for each seed, then the mean and the sample standard deviation.

    Args:
        train: trains with a seed, in a run folder.
        first, count: the seeds first, first + 1, …; without a count, `first` alone in `output_dir` itself.
        output_dir: with a count, a folder that is not itself a run folder.
        writes: whether this process, of several that train together, writes the files.

    Raises:
        UserError: a count below 1, or a folder that holds a single run.
    """
    if count is None:
        train(first, Path(output_dir))
        return
    if count < 1:
        raise UserError(f"The number of seeds must be at least 1. Received: {count}.")
    folder = Path(output_dir)
    if RunFolder(folder).config.exists():
        raise UserError(f"{folder} holds a single run; choose another --output_dir for several seeds.")
    rows = []
    for seed in range(first, first + count):
        print(f"seed {seed}")
        train(seed, folder / f"seed{seed}")
        if writes:
            rows.append(_best(seed, RunFolder(folder / f"seed{seed}")))
        # Otherwise Keras keeps the network in memory, and numbers the next one's layers from there.
        tf.keras.backend.clear_session()
        gc.collect()
    if writes:
        _report(rows + _summary([accuracy for _, accuracy, _ in rows]), folder)


def _report(rows: list[Row], folder: Path) -> None:
    shown = [(seed, f"{100 * accuracy:.2f} %", epoch) for seed, accuracy, epoch in rows]
    print(tabulate(shown, COLUMNS, disable_numparse=True, colalign=("left", "right", "right")))
    lines = [COLUMNS, *rows]
    files.write_text(folder / TABLE, "".join(",".join(map(str, line)) + "\n" for line in lines))


def _best(seed: int, folder: RunFolder) -> Row:
    accuracies = Table(folder.history, ()).column("val_accuracy")
    best = max(accuracies)
    return seed, best, accuracies.index(best) + 1


def _summary(accuracies: list[float]) -> list[Row]:
    """The mean, and for more than one seed the sample standard deviation (n - 1)."""
    rows: list[Row] = [("mean", statistics.mean(accuracies), "")]
    if len(accuracies) > 1:
        rows.append(("deviation", statistics.stdev(accuracies), ""))
    return rows
