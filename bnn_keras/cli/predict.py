"""Name what is in images.

bnn predict PATH IMAGE [IMAGE ...] [--top=5] [--json=FILE] [--csv=FILE]
bnn predict meliusnet22 IMAGE [IMAGE ...] --weights=imagenet

PATH is a run folder, a .keras, a .weights.h5 or a .tflite file; with --weights=imagenet it is a name of the
zoo, whose published weights are downloaded once. IMAGE is an image file, or a folder for all images in it and
in its subfolders. Images that cannot be read are named on standard error; the others are answered, and the
exit status is then 1.
"""

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras import files
from bnn_keras.cli import door, flags, output, pretrained
from bnn_keras.cli.flags import COUNT, Flag
from bnn_keras.errors import UserError

if TYPE_CHECKING:
    from bnn_keras.runs.prediction import FileAnswer
    from bnn_keras.runs.trained import TrainedNetwork

FLAGS = [
    Flag("top", COUNT, "classes to name for each image", 5),
    Flag("batch_size", COUNT, "images at a time", 32),
    flags.which_or_published_weights("weights"),
    output.flag("json", "JSON"),
    output.flag("csv", "CSV"),
]


def run(values: FlagValues, positional: list[str]) -> int:
    """Print a line for each image, and write the files that are asked for."""
    from bnn_keras.runs import prediction, trained

    if len(positional) < 2:
        received = " ".join(positional) or "nothing"
        raise UserError(
            f"Give a PATH ({trained.VALID}) and at least one image or folder. Received: {received}."
        )
    has_text = output.check([values.json, values.csv])
    network = pretrained.load(positional[0], values.weights)
    if has_text:
        print(files.printable(str(network.path)))
    answers = []
    for answer in prediction.predict_files(network, positional[1:], values.top, values.batch_size):
        answers.append(answer)
        if answer.error is not None:
            door.complain(answer.error)
        elif has_text:
            print(_line(answer), flush=True)  # at once, for whom reads it through a pipe
    if values.json is not None:
        output.write(values.json, _json(network, answers))
    if values.csv is not None:
        output.write(values.csv, _csv(answers, min(values.top, network.classes)))
    return door.DONE if all(answer.error is None for answer in answers) else door.PARTLY_DONE


def _line(answer: "FileAnswer") -> str:
    classes = ", ".join(f"{name} {100 * share:.1f} %" for name, share in answer.classes)
    return files.printable(f"{answer.path}: {classes}")


def _json(network: "TrainedNetwork", answers: "Sequence[FileAnswer]") -> str:
    """An object with a line for each image."""
    lines = [
        output.as_json(
            {
                "file": str(answer.path),
                "classes": [{"name": name, "probability": share} for name, share in answer.classes],
                "error": answer.error,
            }
        )
        for answer in answers
    ]
    inner = ",\n".join(lines)
    return f'{{"network": {output.as_json(str(network.path))}, "images": [\n{inner}\n]}}\n'


def _csv(answers: "Sequence[FileAnswer]", top: int) -> str:
    """A row for each image: its file, pairs of class and probability, and the error."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    pairs = [f"{what}_{place}" for place in range(1, top + 1) for what in ("class", "probability")]
    writer.writerow(["file", *pairs, "error"])
    for answer in answers:
        cells = [cell for pair in answer.classes for cell in pair] or [""] * len(pairs)
        row = [str(answer.path), *cells, answer.error or ""]
        writer.writerow([files.printable(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue()
