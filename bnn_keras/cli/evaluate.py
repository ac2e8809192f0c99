"""Measure a trained network on held-out images.

python -m bnn_keras evaluate PATH [--dataset=NAME]

PATH is a run folder, a .keras file or a .tflite file. The data set is the one that the network was
trained on, if not given.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence

import numpy as np
from absl import flags

from bnn_keras import data, files
from bnn_keras.cli import command as cli
from bnn_keras.errors import UserError
from bnn_keras.runs import trained as inference

FLAGS = flags.FlagValues()
TOP = 5
LARGEST_PRINTED_MATRIX = 20  # classes

flags.DEFINE_string("dataset", None, "digits, folder:PATH or a set of TensorFlow Datasets", flag_values=FLAGS)
flags.DEFINE_string("data_dir", None, "where TensorFlow Datasets keeps its sets", flag_values=FLAGS)
flags.DEFINE_integer("batch_size", 32, "images at a time", flag_values=FLAGS)
flags.DEFINE_integer("limit", None, "no more than so many images", flag_values=FLAGS)
flags.DEFINE_string("weights", inference.BEST, "best or last, of a run folder", flag_values=FLAGS)
flags.DEFINE_string("json", None, "also write the result to this file", flag_values=FLAGS)


@dataclasses.dataclass(frozen=True)
class Result:
    """What came out.

    Args:
        top1, top5: shares of the images; top5 is None with no more than five classes.
        confusion: images by class, [true, predicted].
    """

    top1: float
    top5: float | None
    confusion: np.ndarray


def evaluate(
    classifier: inference.Classifier, dataset: data.Dataset, batch_size: int = 32, limit: int | None = None
) -> Result:
    """Classify the held-out images.

    Args:
        classifier: with as many classes as the data set.
        dataset: whose images it takes.
        batch_size, limit: as in `bnn_keras.data.Dataset.test`.
    """
    confusion = np.zeros((classifier.classes, classifier.classes), np.int64)
    among_top = 0
    for images, labels in dataset.test(batch_size, limit).as_numpy_iterator():
        ranking = np.argsort(-classifier.logits(images), axis=-1, kind="stable")
        np.add.at(confusion, (labels, ranking[:, 0]), 1)
        among_top += int((ranking[:, :TOP] == labels[:, None]).sum())
    total = confusion.sum()
    return Result(
        top1=float(np.trace(confusion) / total),
        top5=float(among_top / total) if classifier.classes > TOP else None,
        confusion=confusion,
    )


def _table(result: Result, names: Sequence[str]) -> str:
    """The confusion matrix in columns, a row a true class."""
    rows = [["true \\ predicted", *names]]
    rows += [[name, *map(str, counts)] for name, counts in zip(names, result.confusion, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def run(values: flags.FlagValues, positional: list[str]) -> None:
    if not positional:
        raise UserError("Give a PATH: a run folder, a .keras or a .tflite file.")
    cli.no_more(positional, 1)
    classifier = inference.read(positional[0], values.weights)
    dataset = classifier.dataset(values.dataset, values.data_dir)
    result = evaluate(classifier, dataset, values.batch_size, values.limit)
    images = int(result.confusion.sum())
    print(f"{classifier.file} on {images} held-out images of {dataset.name}")
    print(f"top-1 {100 * result.top1:.2f} %")
    if result.top5 is not None:
        print(f"top-5 {100 * result.top5:.2f} %")
    if classifier.classes <= LARGEST_PRINTED_MATRIX:
        print(_table(result, dataset.class_names))
    if values.json is not None:
        content = {
            "file": str(classifier.file),
            "dataset": dataset.name,
            "images": images,
            "top1": result.top1,
            "top5": result.top5,
            "class_names": list(dataset.class_names),
            "confusion": result.confusion.tolist(),
        }
        files.write_text(values.json, json.dumps(content) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
