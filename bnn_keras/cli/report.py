"""Draw what runs have shown.

python -m bnn_keras report page RUN [--data_dir=DIR]
python -m bnn_keras report flips RUN [RUN ...] --output=FILE.png

RUN is a run folder. "page" writes the pictures and report.html of a run, which may still be going on;
"flips" draws the flips of binary weights in the first and the last binary convolution of several
runs of one network into one picture, as in Figure 4 of the MeliusNet paper's supplement.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from bnn_keras import data, files, report
from bnn_keras.cli import command as cli
from bnn_keras.errors import UserError, one_of
from bnn_keras.report import charts, flip_charts
from bnn_keras.runs import RunFolder, Table

VERBS = ("page", "flips")

FLAGS = flags.FlagValues()
flags.DEFINE_string(
    "data_dir", None, "where TensorFlow Datasets keeps its sets; the run's if not given", flag_values=FLAGS
)
flags.DEFINE_string("output", None, "PNG file for the flips of several runs", flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    verb, *paths = positional or [""]
    if verb not in VERBS:
        raise one_of("report", verb, VERBS)
    if not paths:
        raise UserError(f"Give a run folder behind {verb!r}. Received: none.")
    folders = [RunFolder(Path(path)) for path in paths]
    if verb == "page":
        cli.no_more(paths, most=1)
        print(write_page(folders[0], values.data_dir))
    else:
        if not values.output:
            raise UserError("Give --output, the PNG file to write. Received: none.")
        with files.replacing(values.output) as temporary:
            temporary.write_bytes(compare_flips(folders))
        print(values.output)


def write_page(folder: RunFolder, data_dir: str | None = None) -> Path:
    """Write the page of a run again, or that of one that still goes on.

    Raises:
        UserError: not a run folder, no completed epoch, or its images are not there.
    """
    config = folder.read_config().to_dict()
    history = _table(folder, folder.history)
    evaluated = data.Augmentation.for_evaluation(config["recipe"])
    dataset = data.open(
        config["dataset"], data_dir or config.get("data_dir"), config["image_size"], augmentation=evaluated
    )
    so_far = f"{len(history.rows)} epochs so far"
    sentence = folder.finished.read_text(encoding="utf-8") if folder.finished.is_file() else so_far
    report.write(folder, sentence.strip(), dataset)
    return folder.report


def compare_flips(folders: Sequence[RunFolder]) -> bytes:
    """The flips of several runs as a PNG.

    Raises:
        UserError: not a run folder, no completed epoch, runs of other networks, or without binary
            weights.
    """
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
    return charts.png(flip_charts.compare_runs(tables))


def _table(folder: RunFolder, path: Path) -> Table:
    folder.read_config()
    table = Table(path, ())
    if not table.rows:
        raise UserError(f"{path} has no rows: the run has no completed epoch, or no binary weights.")
    return table


def _names(kernels: Sequence[tuple[str, str]]) -> str:
    return " to ".join(name for _, name in kernels)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives its exit status."""
    return cli.run(run, FLAGS, __doc__ or "", argv)


if __name__ == "__main__":
    sys.exit(main())
