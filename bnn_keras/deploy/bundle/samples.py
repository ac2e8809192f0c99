"""Images that go with a network, to see that it computes on a device what it should."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.conversion.hardening import harden
from bnn_keras.deploy.scores import scores

# Shares of the largest output. Processors and versions round differently, which changes outputs by about 1e-6
# of the largest; but if an activation lies so near to its threshold that it gets the other sign, by a few
# per cent. Samples are images for which this does not happen, as far as it can be seen here.
CALM = 0.001
TOLERANCE = 0.01


def choose(model: tf.keras.Model, images: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose images of as many classes as there are, by the classes that the model gives them.

    Args:
        model: with one input and one output, [batch, classes].
        images: float32 [n, height, width, 3] in [0, 255], as the model takes them.
        number: of images to choose, if there are as many.

    Returns:
        The images in whole numbers, uint8 [number, height, width, 3], and their classes [number], which the
        model gives these whole numbers. Its progressive kernels count as signs, as in a converted file.
    """
    pixels, outputs = in_whole_numbers(model, images)
    classes = outputs.argmax(-1)
    chosen = _of_many_classes(classes)[:number]
    return pixels[chosen], classes[chosen]


def in_whole_numbers(model: tf.keras.Model, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images as uint8, and what the model gives for them.

    Args:
        model, images: as for `choose`.
    """
    pixels = np.rint(images).astype(np.uint8)
    return pixels, scores(harden(model), pixels.astype(np.float32))


def choose_calm(outputs: np.ndarray, others: Sequence[np.ndarray], number: int) -> tuple[np.ndarray, float]:
    """Choose images whose outputs do not depend on how a computation rounds.

    Args:
        outputs: of one computation, [n, classes].
        others: the same of computations that round differently.
        number: of images to choose, if there are as many.

    Returns:
        The numbers of the images. They are calm ones of as many classes as there are; if these are too few,
        also those that differ least. And the tolerance for them, as a share of the largest output: twice the
        largest difference among them, and at least `TOLERANCE`.
    """
    differences = np.zeros(len(outputs))
    for other in others:
        differences = np.maximum(differences, np.abs(other - outputs).max(-1) / np.abs(outputs).max())
    by_difference = np.argsort(differences, kind="stable")
    calm = np.flatnonzero(differences <= CALM)
    calm = calm[_of_many_classes(outputs[calm].argmax(-1))]
    chosen = np.array([*calm, *(i for i in by_difference if differences[i] > CALM)][:number])
    return chosen, max(TOLERANCE, 2 * float(differences[chosen].max()))


def _of_many_classes(classes: np.ndarray) -> list[int]:
    """All indices: those of the first image of each class come first."""
    _, first = np.unique(classes, return_index=True)
    return [*first, *np.setdiff1d(np.arange(len(classes)), first)]
