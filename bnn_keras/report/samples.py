"""What a network says of some held-out images."""

import dataclasses

import numpy as np
import tensorflow as tf

from bnn_keras.data import Dataset, Source

SAMPLES = 24
# Sets that lie sorted by class are sampled all over, but no more records than this are passed over.
PASSED_OVER = 5000
THUMBNAIL = 96  # pixels


@dataclasses.dataclass(frozen=True)
class Sample:
    """A held-out image and what became of it.

    Args:
        png: the image as the network saw it, or smaller, a PNG file.
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
        return self.truth == self.predicted


@dataclasses.dataclass
class _Every:
    """A source of whose held-out examples only every n-th is there."""

    source: Source
    n: int

    def __getattr__(self, name):
        return getattr(self.source, name)

    def test(self) -> tf.data.Dataset:
        return self.source.test().shard(self.n, 0)


def of(network: tf.keras.Model, dataset: Dataset, number: int = SAMPLES) -> list[Sample]:
    """Classify held-out images.

    Args:
        network: from images, RGB in [0, 255], to logits.
        dataset: of as many classes.
        number: of images, spread evenly over the first `PASSED_OVER` of the held-out ones.
    """
    number = min(number, dataset.num_test)
    every = min(dataset.num_test, PASSED_OVER) // number
    thinned = dataclasses.replace(dataset, source=_Every(dataset.source, every))
    images, labels = next(iter(thinned.test(number, limit=number)))
    shares = tf.nn.softmax(network.predict_on_batch(images)).numpy()
    names = dataset.class_names
    return [
        Sample(*_thumbnail(image), names[int(label)], names[int(share.argmax())], float(share.max()))
        for image, label, share in zip(images, labels, shares, strict=True)
    ]


def _thumbnail(image: tf.Tensor) -> tuple[bytes, int]:
    size = min(int(image.shape[0]), THUMBNAIL)
    small = tf.image.resize(image, (size, size), antialias=True)
    pixels = np.clip(np.rint(small), 0, 255).astype(np.uint8)
    return tf.io.encode_png(pixels).numpy(), size
