"""A model's layers and what they cost: python -m bnn_keras summary MODEL."""

import csv
import dataclasses
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from tabulate import tabulate

import bnn_keras.cli.command  # noqa: F401  first: it keeps TensorFlow's import quiet
from bnn_keras import accounting
from bnn_keras.cli import command as cli
from bnn_keras.errors import UserError

USAGE = """python -m bnn_keras summary MODEL [flags]

MODEL is a name of the zoo, a .keras file or a run folder. Prints a row for each layer and the totals:
parameters, size (MiB), binary and 32-bit multiply-accumulates of convolutions, OPs = FLOPs + BOPs / 64."""

TOTALS = ("params", "binary_params", "size_mib", "bops", "flops", "ops")

FLAGS = flags.FlagValues()
flags.DEFINE_integer("image_size", None, "Edge of the image in pixels (zoo: 224).", flag_values=FLAGS)
flags.DEFINE_integer("classes", None, "Outputs of a network of the zoo (1000).", flag_values=FLAGS)
flags.DEFINE_string("stem", None, "Stem of a network of the zoo.", flag_values=FLAGS)
flags.DEFINE_bool("binary", True, "Or the 32-bit twin of a network of the zoo.", flag_values=FLAGS)
flags.DEFINE_bool("dense", False, "Count the operations of dense layers too.", flag_values=FLAGS)
flags.DEFINE_bool("json", False, "Print JSON.", flag_values=FLAGS)
flags.DEFINE_bool("csv", False, "Print the rows as CSV.", flag_values=FLAGS)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives its exit status."""
    return cli.run(run, FLAGS, USAGE, argv)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    cli.no_more(positional, most=1)
    if not positional:
        raise UserError("Name a model: one of the zoo, a .keras file or a run folder. Received: none.")
    if values.json and values.csv:
        raise UserError("--json and --csv are two formats: give one. Received: both.")
    form = _json if values.json else _csv if values.csv else _text
    print(form(profile(positional[0], values)), end="")


def profile(model: str, values: flags.FlagValues) -> accounting.Profile:
    """Count a network of the zoo or a saved model.

    Raises:
        UserError: neither of them, or flags that it does not take.
    """
    import zoo
    from bnn_keras import weights

    if model in zoo.list_models():
        size = 224 if values.image_size is None else values.image_size
        classes = 1000 if values.classes is None else values.classes
        settings = {"stem": values.stem} if values.stem is not None else {}
        if not values.binary:
            settings["binary"] = False
        return accounting.profile(zoo.build(model, (size, size, 3), classes, **settings), dense=values.dense)
    if not Path(model).exists():
        raise UserError(
            f"No network of the zoo and no file is called {model!r}; the zoo has: "
            f"{', '.join(zoo.list_models())}."
        )
    for flag in ("classes", "stem"):
        if values[flag].value is not None:
            raise UserError(
                f"--{flag} is for networks of the zoo; a saved model has its own. Received: {model}."
            )
    if not values.binary:
        raise UserError(f"--nobinary is for networks of the zoo. Received: {model}.")
    shape = None if values.image_size is None else (values.image_size, values.image_size, 3)
    return accounting.profile(weights.read_model(model), shape, dense=values.dense)


def _text(found: accounting.Profile) -> str:
    headings = ("layer", "type", "output", "parameters", "binary", "bytes", "BOPs", "FLOPs")
    rows = [
        [
            row.path,
            row.type,
            " x ".join("?" if size is None else str(size) for size in row.output_shape[1:]),
            f"{row.params:,}",
            f"{row.binary_params:,}",
            f"{row.bits / 8:,.0f}",
            f"{row.bops:,}",
            f"{row.flops:,}",
        ]
        for row in found.rows
    ]
    totals = [
        ["parameters", f"{found.params:,}", f"{found.binary_params:,} of them binary"],
        ["size", f"{found.size_mib:.2f} MiB", ""],
        ["BOPs", f"{found.bops:,}", f"{found.bops:.3g}"],
        ["FLOPs", f"{found.flops:,}", f"{found.flops:.3g}"],
        ["OPs", f"{found.ops:,.0f}", f"{found.ops:.3g} = FLOPs + BOPs / 64"],
    ]
    notes = [f"{row.path}: {row.note}" for row in found.notes]
    parts = [
        tabulate(rows, headings, disable_numparse=True, colalign=3 * ["left"] + 5 * ["right"]),
        tabulate(totals, (found.name, "", ""), disable_numparse=True, colalign=("left", "right", "right")),
        *notes,
    ]
    return "\n\n".join(parts) + "\n"


def _json(found: accounting.Profile) -> str:
    totals = {key: getattr(found, key) for key in TOTALS}
    rows = [dataclasses.asdict(row) for row in found.rows]
    return json.dumps({"model": found.name, **totals, "rows": rows}, indent=1) + "\n"


def _csv(found: accounting.Profile) -> str:
    file = io.StringIO()
    names = [field.name for field in dataclasses.fields(accounting.Row)]
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    for row in found.rows:
        shapes = {
            "output_shape": "x".join("" if size is None else str(size) for size in row.output_shape[1:]),
            "kernel_shapes": " ".join("x".join(map(str, shape)) for shape in row.kernel_shapes),
        }
        writer.writerow({**dataclasses.asdict(row), **shapes})
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
