"""Images that go with a network, to see that it computes on a device what it should."""

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.conversion.hardening import harden
from bnn_keras.deploy.scores import scores

CANDIDATES = 100  # images that samples are chosen from


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
    pixels = np.rint(images[:CANDIDATES]).astype(np.uint8)
    classes = scores(harden(model), pixels.astype(np.float32)).argmax(-1)
    _, first = np.unique(classes, return_index=True)
    others = np.setdiff1d(np.arange(len(classes)), first)
    chosen = [*first, *others][:number]
    return pixels[chosen], classes[chosen]
