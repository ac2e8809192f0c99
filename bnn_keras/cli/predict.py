"""Name what is in images.

python -m bnn_keras predict PATH IMAGE [IMAGE ...] [--top=5]

PATH is a run folder, a .keras file or a .tflite file.
"""

import sys
from collections.abc import Sequence

import numpy as np
from absl import flags

from bnn_keras import data
from bnn_keras.cli import command as cli
from bnn_keras.errors import UserError
from bnn_keras.runs import trained as inference

FLAGS = flags.FlagValues()

flags.DEFINE_integer("top", 5, "classes to name for each image", flag_values=FLAGS)
flags.DEFINE_string("weights", inference.BEST, "best or last, of a run folder", flag_values=FLAGS)


def predict(classifier: inference.Classifier, images: np.ndarray, top: int = 5) -> list[list]:
    """The likeliest classes of images, the likeliest first.

    Args:
        classifier: a network; without class names its classes are called by their numbers.
        images: RGB in [0, 255], float32 [batch, size, size, 3].
        top: classes an image.

    Returns:
        For each image pairs of class name and probability.
    """
    names = classifier.class_names or tuple(map(str, range(classifier.classes)))
    rows = inference.probabilities(classifier.logits(images))
    ranking = np.argsort(-rows, axis=-1, kind="stable")[:, :top]
    return [[(names[k], float(row[k])) for k in ranked] for row, ranked in zip(rows, ranking, strict=True)]


def run(values: flags.FlagValues, positional: list[str]) -> None:
    if len(positional) < 2:
        raise UserError(
            f"Give a PATH (a run folder, a .keras or a .tflite file) and at least one image. "
            f"Received: {' '.join(positional) or 'nothing'}."
        )
    if values.top < 1:
        raise UserError(f"--top must be at least 1. Received: {values.top}.")
    path, *image_files = positional
    classifier = inference.read(path, values.weights)
    print(f"{classifier.file}")
    # All are read before the first is named: a broken one leaves no half of an answer.
    form = classifier.kind, classifier.image_size, classifier.augmentation
    images = [data.read_image(file, *form) for file in image_files]
    for file, image in zip(image_files, images, strict=True):
        (answer,) = predict(classifier, image[np.newaxis], values.top)
        print(f"{file}: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in answer))


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
