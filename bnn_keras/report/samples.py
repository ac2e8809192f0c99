"""What a network predicts for some held-out images."""

import dataclasses

import numpy as np
import tensorflow as tf

from bnn_keras.data import Dataset

SAMPLES = 24
# The samples are spread over so many held-out images, because some sets are sorted by class.
SPREAD = 5000
THUMBNAIL = 96  # pixels


@dataclasses.dataclass(frozen=True)
class Sample:
    """A held-out image and what the network predicts for it.

    Args:
        png: the image as the network saw it, or smaller; a PNG file.
        size: edge of the PNG in pixels.
        truth, predicted: names of classes.
        probability: of the predicted class.
    """

    png: bytes
    size: int
    truth: str
    predicted: str
    probability: float

    @property
    def right(self) -> bool:
        """Whether the prediction is true."""
        return self.truth == self.predicted


def classify_samples(network: tf.keras.Model, dataset: Dataset, number: int = SAMPLES) -> list[Sample]:
    """Classify held-out images.

    Args:
        network: from images, RGB in [0, 255], to logits.
        dataset: with as many classes.
        number: how many images, spread evenly over the first `SPREAD` held-out ones.
    """
    number = min(number, dataset.num_test)
    step = min(dataset.num_test, SPREAD) // number
    images, labels = next(iter(dataset.test(number * step, limit=number * step, part=(0, step))))
    probabilities = tf.nn.softmax(network.predict_on_batch(images)).numpy()
    names = dataset.class_names
    return [
        Sample(*_thumbnail(image), names[int(label)], names[int(row.argmax())], float(row.max()))
        for image, label, row in zip(images, labels, probabilities, strict=True)
    ]


def _thumbnail(image: tf.Tensor) -> tuple[bytes, int]:
    size = min(int(image.shape[0]), THUMBNAIL)
    small = tf.image.resize(image, (size, size), antialias=True)
    pixels = np.clip(np.rint(small), 0, 255).astype(np.uint8)
    return tf.io.encode_png(pixels).numpy(), size
