"""Measure a trained network on held-out images.

bnn evaluate PATH [--dataset=NAME]

PATH is a run folder, a .keras, a .weights.h5 or a .tflite file. The data set is the one that the network
was trained on, unless another one is given. Of folder:PATH all images are measured, or those of --split:
those in its subfolder train, val (or validation) or test. Its classes are matched by their names.
"""

import json
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.flags import COUNT, DATA, DATA_DIR, PATH, Flag
from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import Choice

if TYPE_CHECKING:
    from bnn_keras.data import Dataset
    from bnn_keras.runs.evaluation import Evaluation
    from bnn_keras.runs.trained import TrainedNetwork

FLAGS = [
    Flag("dataset", DATA, "images; the held-out ones of the network's own data set if not given"),
    DATA_DIR,
    Flag(
        "split",
        Choice(("train", "val", "test", "all")),
        "part of a folder; all if not given, and what was held out of the network's own folder",
    ),
    Flag("batch_size", COUNT, "images at a time", 32),
    Flag("limit", COUNT, "use no more images than this"),
    flags.which_weights("weights"),
    Flag("json", PATH, "also write the result to this file"),
]
LARGEST_PRINTED_MATRIX = 20  # classes


def run(values: FlagValues, positional: list[str]) -> None:
    """Measure, print, and write the JSON file if one is asked for."""
    from bnn_keras import files
    from bnn_keras.runs import evaluation, trained

    if not positional:
        raise UserError(f"Give a PATH: {trained.VALID}. Received: nothing.")
    flags.no_more(positional, most=1)
    network = trained.load(positional[0], values.weights)
    dataset = network.dataset(values.dataset, values.data_dir, values.split)
    result = evaluation.evaluate(network, dataset, values.batch_size, values.limit)
    print(_text(network, dataset, result))
    if values.json is not None:
        files.write_text(values.json, _json(network, dataset, result))


def _text(network: "TrainedNetwork", dataset: "Dataset", result: "Evaluation") -> str:
    from tabulate import tabulate

    lines = [f"{network.path} on {result.images} {dataset.tested} of {dataset.name}"]
    lines.append(f"top-1 {100 * result.top1:.2f} %")
    if result.top5 is not None:
        lines.append(f"top-5 {100 * result.top5:.2f} %")
    if network.classes <= LARGEST_PRINTED_MATRIX:
        rows = [[name, *counts] for name, counts in zip(dataset.class_names, result.confusion, strict=True)]
        headings = ["true \\ predicted", *dataset.class_names]
        lines.append(tabulate(rows, headings, disable_numparse=True, stralign="right"))
    return "\n".join(lines)


def _json(network: "TrainedNetwork", dataset: "Dataset", result: "Evaluation") -> str:
    content = {
        "file": str(network.path),
        "dataset": dataset.name,
        "images": result.images,
        "top1": result.top1,
        "top5": result.top5,
        "class_names": list(dataset.class_names),
        "confusion": result.confusion.tolist(),
    }
    return json.dumps(content) + "\n"
