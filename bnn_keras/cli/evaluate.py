"""Measure a trained network on held-out images.

bnn evaluate PATH
bnn evaluate PATH --dataset=folder:PHOTOS --picture=confusion.png
bnn evaluate PATH --compare=OTHER
bnn evaluate meliusnet22 --weights=imagenet

PATH and OTHER are a run folder, a .keras, a .weights.h5 or a .tflite file. With --weights=imagenet they are
names of the zoo, whose published weights are downloaded once; OTHER may also be a file. The data set is the
one that the network was trained on, unless another one is given. Of folder:PATH all images are measured, or
those of --split: those in its subfolder train, val (or validation) or test. Its classes are matched by their
names.
With OTHER, both networks are measured on the same images, and McNemar's test says whether their difference
can be chance.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from absl.flags import FlagValues

from bnn_keras import files
from bnn_keras.cli import flags, output, pretrained
from bnn_keras.cli.flags import COUNT, DATA, DATA_DIR, PATH, Flag
from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import Choice

if TYPE_CHECKING:
    from bnn_keras.runs.comparison import Comparison
    from bnn_keras.runs.evaluation import Evaluation

PICTURE = ".png"
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
    flags.which_or_published_weights("weights"),
    Flag("compare", PATH, "another network, for the same classes and image size"),
    Flag("picture", PATH, "draw the confusion matrix into this PNG file"),
    output.flag("json", "JSON"),
]


LARGEST_PRINTED_MATRIX = 20  # classes
LEAST_CHANCE = 0.0001  # that is printed
CONFUSION = ["true", "predicted", "images"]
PRINTED = 10  # of more classes, the worst, and of their confusions, the most frequent


def run(values: FlagValues, positional: list[str]) -> None:
    """Measure, print, and write the files that are asked for."""
    from bnn_keras.report import confusion
    from bnn_keras.runs import trained

    if not positional:
        raise UserError(f"Give a PATH: {trained.VALID}. Received: nothing.")
    flags.no_more(positional, most=1)
    if values.picture is not None and not values.picture.endswith(PICTURE):
        raise UserError(f"--picture must end in {PICTURE}. Received: {values.picture!r}.")
    has_text = output.check([values.json, values.picture])
    result, compared = _measure(values, positional[0])
    if has_text:
        print(_text(result))
        if compared is not None:
            print(_compared_text(compared))
    if values.picture is not None:
        with files.replacing(values.picture) as temporary:
            temporary.write_bytes(confusion.draw(result.confusion, result.class_names, _headline(result)))
    if values.json is not None:
        output.write(values.json, output.as_json(_content(result, compared)) + "\n")


def _measure(values: FlagValues, path: str) -> "tuple[Evaluation, Comparison | None]":
    """Measure the network, and compare it if another one is given."""
    from bnn_keras.report import confusion
    from bnn_keras.runs import comparison, evaluation

    network = pretrained.load(path, values.weights)
    if values.picture is not None:
        confusion.check(network.classes)
    other = None if values.compare is None else pretrained.load_other(values.compare, values.weights)
    if other is not None:
        comparison.check_comparable(network, other)
    dataset = network.dataset(values.dataset, values.data_dir, values.split)
    if other is None:
        return evaluation.evaluate(network, dataset, values.batch_size, values.limit), None
    compared = comparison.compare(network, other, dataset, values.batch_size, values.limit)
    return compared.first, compared


def _headline(result: "Evaluation") -> str:
    return files.printable(f"{result.path} on {result.images} {result.tested} of {result.dataset}")


def _text(result: "Evaluation") -> str:
    """Accuracy, calibration and classes; of many classes only the worst."""
    calibration = result.calibration
    lines = [_headline(result), f"top-1 {_percent(result.top1)}"]
    if result.top5 is not None:
        lines.append(f"top-5 {_percent(result.top5)}")
    lines.append(f"expected calibration error {_percent(calibration.error)} ({len(calibration.images)} bins)")
    classes = range(len(result.class_names))
    if len(classes) <= LARGEST_PRINTED_MATRIX:
        return "\n".join([*lines, "", _class_table(result, classes), "", _matrix(result)])
    measured = [label for label in classes if not math.isnan(result.recall[label])]
    worst = sorted(measured, key=result.recall.__getitem__)[:PRINTED]
    lines += ["", f"The {len(worst)} classes with the lowest accuracy:", _class_table(result, worst)]
    return "\n".join([*lines, "", "The most frequent confusions:", _confusions(result)])


def _class_table(result: "Evaluation", labels: Iterable[int]) -> str:
    images = result.confusion.sum(axis=1)
    rows = [
        [
            result.class_names[label],
            str(images[label]),
            _percent(result.recall[label]),
            _percent(result.precision[label]),
        ]
        for label in labels
    ]
    return _table(rows, ["class", "images", "accuracy", "precision"])


def _matrix(result: "Evaluation") -> str:
    rows = [[name, *counts] for name, counts in zip(result.class_names, result.confusion, strict=True)]
    return _table(rows, ["true \\ predicted", *result.class_names])


def _confusions(result: "Evaluation") -> str:
    wrong = [
        (int(result.confusion[true, predicted]), result.class_names[true], result.class_names[predicted])
        for true, predicted in zip(*result.confusion.nonzero(), strict=True)
        if true != predicted
    ]
    most = sorted(wrong, key=lambda row: -row[0])[:PRINTED]
    return _table([[true, predicted, str(images)] for images, true, predicted in most], CONFUSION)


def _table(rows: list[list], headings: list[str]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headings, disable_numparse=True, stralign="right")


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.2f} %"


def _compared_text(compared: "Comparison") -> str:
    """Both accuracies, where the networks differ, and what that says."""
    first, second, p_value = compared.first, compared.second, compared.p_value
    lines = [
        "",
        files.printable(f"compared with {second.path}"),
        f"top-1 {_percent(first.top1)} and {_percent(second.top1)}",
        f"right in the first only: {compared.only_first} images; in the second only: {compared.only_second}",
        f"McNemar's exact test: p = {p_value:.3g}",
    ]
    if not compared.only_first + compared.only_second:
        return "\n".join([*lines, "Both networks are right, and wrong, on the same images."])
    share = _percent(p_value) if p_value >= LEAST_CHANCE else f"less than {_percent(LEAST_CHANCE)}"
    chance = f"two equally good networks differ at least this much in {share} of such comparisons"
    if not compared.is_significant:
        return "\n".join([*lines, f"This shows no difference in accuracy: {chance}."])
    better = "first" if compared.only_first > compared.only_second else "second"
    return "\n".join([*lines, f"The {better} is more accurate: {chance}."])


def _content(result: "Evaluation", compared: "Comparison | None") -> dict[str, Any]:
    """For the JSON file."""
    content = {
        "file": str(result.path),
        "dataset": result.dataset,
        "images": result.images,
        "top1": result.top1,
        "top5": result.top5,
        "class_names": list(result.class_names),
        "recall": result.recall.tolist(),
        "precision": result.precision.tolist(),
        "confusion": result.confusion.tolist(),
        "calibration": _calibration_content(result),
    }
    if compared is not None:
        content["compare"] = {
            "file": str(compared.second.path),
            "top1": compared.second.top1,
            "only_first_right": compared.only_first,
            "only_second_right": compared.only_second,
            "p_value": compared.p_value,
        }
    return content


def _calibration_content(result: "Evaluation") -> dict[str, Any]:
    calibration = result.calibration
    bins = len(calibration.images)
    columns = (calibration.images, calibration.confidence, calibration.accuracy)
    return {
        "expected_error": calibration.error,
        "bins": bins,
        "reliability": [
            {
                "above": i / bins,
                "up_to": (i + 1) / bins,
                "images": images,
                "confidence": mean,
                "accuracy": share,
            }
            for i, (images, mean, share) in enumerate(zip(*(c.tolist() for c in columns), strict=True))
        ],
    }
