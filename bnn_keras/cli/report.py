"""Draw what runs have shown.

bnn report page RUN [--data_dir=DIR]
bnn report page RUN [RUN ...] --output=FILE.html
bnn report flips RUN [RUN ...] --output=FILE.png

RUN is a run folder. "page" writes the pictures and report.html of a run, which may still be going on. Of
several runs, and of a folder that "bnn train --seeds" wrote, it writes one page that compares them.
"flips" draws the flips of binary weights in the first and the last binary convolution of several runs of
one network into one picture, as in Figure 4 of the MeliusNet paper's supplement.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli.flags import PATH, Flag
from bnn_keras.errors import UserError, one_of

if TYPE_CHECKING:
    from bnn_keras.runs import RunFolder, Table

PAGE, FLIPS = "page", "flips"
FLAGS = [
    Flag("data_dir", PATH, "where TensorFlow Datasets keeps its sets; the run's own folder if not given"),
    Flag(
        "output", PATH, "HTML file for a page, PNG file for flips; report.html in the only RUN if not given"
    ),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Draw and write."""
    what, *paths = positional or [""]
    if what not in (PAGE, FLIPS):
        raise one_of("report", what, (PAGE, FLIPS))
    if not paths:
        raise UserError(f"Give a run folder after {what!r}. Received: none.")
    from bnn_keras.report.settings import seed_folders
    from bnn_keras.runs import RunFolder

    runs = [Path(path) for path in paths]
    if what == FLIPS:
        print(_compare_flips([RunFolder(path) for path in runs], values.output))
    elif len(runs) > 1 or seed_folders(runs[0]):
        print(_compare(runs, values.output))
    else:
        print(write_page(RunFolder(runs[0]), values.data_dir, values.output))


def _compare(runs: Sequence[Path], output: str | None) -> Path:
    """Write one page about several runs."""
    from bnn_keras.report import comparison
    from bnn_keras.report.settings import gather
    from bnn_keras.runs import RunFolder

    if output is None and len(runs) > 1:
        raise UserError("Give --output, the page of several runs to write. Received: none.")
    path = RunFolder(runs[0]).report if output is None else Path(output)
    comparison.write(gather(runs), path)
    return path


def write_page(folder: "RunFolder", data_dir: str | None, output: str | None = None) -> Path:
    """Write the page of a run again, or of one that still goes on."""
    from bnn_keras import report
    from bnn_keras.runs import trained

    history = _table(folder, folder.history)
    dataset = trained.load(folder.path).dataset(data_dir=data_dir)
    so_far = f"{len(history.rows)} epochs so far"
    sentence = folder.finished.read_text(encoding="utf-8") if folder.finished.is_file() else so_far
    path = folder.report if output is None else Path(output)
    report.write(folder, sentence.strip(), dataset, path)
    return path


def _compare_flips(folders: "Sequence[RunFolder]", output: str | None) -> str:
    """Write the flips of several runs as a PNG file."""
    from bnn_keras import files
    from bnn_keras.report import charts, constants, flip_charts

    if not output:
        raise UserError("Give --output, the PNG file to write. Received: none.")
    tables = {folder.path.name: _table(folder, folder.flips) for folder in folders}
    if len(tables) < len(folders):
        raise UserError(
            "The runs are told apart by their folders' names, which must differ. "
            f"Received: {', '.join(folder.path.name for folder in folders)}."
        )
    (first, expected), *others = [(name, flip_charts.first_and_last(table)) for name, table in tables.items()]
    for name, kernels in others:
        if kernels != expected:
            raise UserError(
                f"The runs must be of one network. Received: {first} with the binary kernels "
                f"{_names(expected)}, {name} with {_names(kernels)}."
            )
    shares, sentences = constants.separate(flip_charts.compare_runs(tables))
    below = [
        constants.separate_lines(flip_charts.percentile_charts(table, run)) for run, table in tables.items()
    ]
    rows = [row for row in (shares, *(shown for shown, _ in below)) if row]
    sentences += [sentence for _, each in below for sentence in each]
    with files.replacing(output) as temporary:
        temporary.write_bytes(charts.png(rows, sentences))
    return output


def _table(folder: "RunFolder", path: Path) -> "Table":
    from bnn_keras.runs import Table

    folder.read_config()
    table = Table(path, ())
    if not table.rows:
        raise UserError(f"{path} has no rows: the run has no completed epoch, or no binary weights.")
    return table


def _names(kernels: Sequence[tuple[str, str]]) -> str:
    return " to ".join(name for _, name in kernels)
