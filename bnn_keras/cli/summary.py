"""Count a network's parameters, size and operations, layer by layer.

bnn summary MODEL [flags]

MODEL is a name of the zoo, a run folder, a .keras or a .weights.h5 file. There is a row for each layer,
then the totals: parameters, size (MiB), binary and 32-bit multiply-accumulates of convolutions (BOPs and
FLOPs), and OPs = FLOPs + BOPs / 64.
"""

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.flags import COUNT, SWITCH, Flag
from bnn_keras.cli.network import GENOTYPE, SET, parse_settings
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import EDGE
from bnn_keras.settings.kinds import Text

if TYPE_CHECKING:
    from bnn_keras.accounting import Profile

TOTALS = ("params", "binary_params", "size_mib", "bops", "flops", "ops")
OF_THE_ZOO = ("classes", "stem", "set", "genotype", "binary")
FLAGS = [
    Flag("image_size", EDGE, "edge of the image in pixels; 224 for a network of the zoo if not given"),
    Flag("classes", COUNT, "outputs of a network of the zoo; 1000 if not given"),
    Flag("stem", Text("its settings name them"), "first layers of a network of the zoo"),
    SET,
    GENOTYPE,
    Flag("binary", SWITCH, "a network of the zoo, or its 32-bit twin", True),
    Flag("dense", SWITCH, "count the operations of dense layers too", False),
    Flag("json", SWITCH, "print JSON", False),
    Flag("csv", SWITCH, "print the rows as CSV", False),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Count and print."""
    flags.no_more(positional, most=1)
    if not positional:
        raise UserError("Name a model: one of the zoo, or one of its files. Received: none.")
    if values.json and values.csv:
        raise UserError("--json and --csv are two formats: give one. Received: both.")
    form = _json if values.json else _csv if values.csv else _text
    print(form(_profile(positional[0], values)), end="")


def _profile(model: str, values: FlagValues) -> "Profile":
    import zoo
    from bnn_keras import accounting
    from bnn_keras.runs import trained

    size = values.image_size
    if model in zoo.list_models():
        settings = parse_settings(model, values.set, values.genotype)
        settings |= flags.given(values, ("stem", "binary"))
        network = zoo.build(model, (size or 224, size or 224, 3), values.classes or 1000, **settings)
        return accounting.profile(network, dense=values.dense)
    if not Path(model).exists():
        names = ", ".join(zoo.list_models())
        raise UserError(f"No network of the zoo and no file is called {model!r}; the zoo has: {names}.")
    for flag in flags.given(values, OF_THE_ZOO):
        raise UserError(f"--{flag} is for networks of the zoo; a saved model has its own. Received: {model}.")
    network = trained.load(model).keras_model
    return accounting.profile(network, None if size is None else (size, size, 3), dense=values.dense)


def _text(found: "Profile") -> str:
    from tabulate import tabulate

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


def _json(found: "Profile") -> str:
    totals = {key: getattr(found, key) for key in TOTALS}
    rows = [dataclasses.asdict(row) for row in found.rows]
    return json.dumps({"model": found.name, **totals, "rows": rows}, indent=1) + "\n"


def _csv(found: "Profile") -> str:
    from bnn_keras.accounting import Row

    file = io.StringIO()
    names = [field.name for field in dataclasses.fields(Row)]
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    for row in found.rows:
        shapes = {
            "output_shape": "x".join("" if size is None else str(size) for size in row.output_shape[1:]),
            "kernel_shapes": " ".join("x".join(map(str, shape)) for shape in row.kernel_shapes),
        }
        writer.writerow({**dataclasses.asdict(row), **shapes})
    return file.getvalue()
