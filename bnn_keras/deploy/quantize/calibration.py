"""The ranges of a file's activations on real images."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from bnn_keras import data
from bnn_keras.data.augment.transforms import evaluation_transform
from bnn_keras.errors import UserError
from bnn_keras.tflite.flatbuffer import Flatbuffer
from bnn_keras.tflite.interpreter import Interpreter

BATCH = 8  # images whose activations are in memory at a time


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that an activation takes.

    Args:
        low, high: float64 [channels], the smallest and the largest one of each channel.
    """

    low: np.ndarray
    high: np.ndarray

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value of all channels."""
        return float(self.low.min()), float(self.high.max())

    @property
    def largest(self) -> np.ndarray:
        """The largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


def training_images(dataset: data.Dataset, number: int, seed: int = 0) -> np.ndarray:
    """Training images, prepared as for an evaluation.

    Args:
        dataset: of the training.
        number: of images; fewer if the set has no more.
        seed: of their choice.

    Returns:
        RGB in [0, 255], float32 [number, size, size, 3].
    """
    transform = evaluation_transform(dataset.evaluated)
    records = dataset.source.train(np.random.default_rng(seed)).take(number)
    with dataset.decoding():
        images = [transform(dataset.source.read(record)[0]).numpy() for record in records]
    return np.stack(images).astype(np.float32)


def check_images(images: np.ndarray, shape: Sequence[int | None]) -> None:
    """Refuse images on which nothing can be calibrated.

    Args:
        images: [n, height, width, channels].
        shape: of the model's input, with the batch.

    Raises:
        UserError: there are none, or they have another size.
    """
    if not len(images):
        raise UserError("int8 needs calibration images, real ones for the same classes. Received: none.")
    if tuple(images.shape[1:]) != tuple(shape[1:]):
        raise UserError(
            f"The calibration images must have the shape {tuple(shape[1:])} that the model takes. "
            f"Received: {tuple(images.shape[1:])}."
        )


def ranges(flatbuffer: bytes, tensors: Sequence[int], images: np.ndarray) -> dict[int, Range]:
    """The values that tensors of a file take.

    Args:
        flatbuffer: the bytes of the file, in float.
        tensors: their numbers.
        images: float32 [n, height, width, channels].
    """
    interpreter = Interpreter(Flatbuffer(flatbuffer).returning(tensors), is_checked=True)
    found: dict[int, Range] = {}
    for start in range(0, len(images), BATCH):
        arrays = interpreter.predict_all([images[start : start + BATCH]])
        for tensor, values in zip(tensors, arrays, strict=True):
            by_channel = values.reshape(-1, values.shape[-1]).astype(np.float64)
            low, high = by_channel.min(0), by_channel.max(0)
            if tensor in found:
                low, high = np.minimum(low, found[tensor].low), np.maximum(high, found[tensor].high)
            found[tensor] = Range(low, high)
    return found
