"""Images of the type that a file takes."""

import numpy as np

from bnn_keras.tflite.flatbuffer import TYPE_NAMES, Flatbuffer


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Images rounded to whole numbers in [0, 255], uint8."""
    return np.rint(np.clip(images, 0, 255)).astype(np.uint8)


def as_input(images: np.ndarray, file: Flatbuffer) -> np.ndarray:
    """Images as a file takes them: as bytes, or as they are.

    Args:
        images: [n, height, width, channels], in [0, 255].
        file: with one input.
    """
    kind = file.graph.tensors[int(file.graph.inputs[0])].type
    return as_bytes(images) if TYPE_NAMES[kind] == "UINT8" else images
