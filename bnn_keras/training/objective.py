"""The loss and the metrics of training, for labels that are classes or distributions over classes."""

from typing import Any

import tensorflow as tf
from typing_extensions import override

TOP = 5  # of so many classes or fewer, top-5 accuracy is always 1


def smooth(labels: tf.Tensor, classes: int, smoothing: float) -> tf.Tensor:
    """Label smoothing: spread a share of each label over all classes (Szegedy et al., 2016, section 7).

    Args:
        labels: integers [batch], or distributions that sum to 1, [batch, classes].
        classes: number of classes.
        smoothing: the share, from 0 to 1.

    Returns:
        Distributions, float32 [batch, classes].
    """
    if labels.dtype.is_integer:
        labels = tf.one_hot(labels, classes)
    return (1 - smoothing) * labels + smoothing / classes


class CrossEntropy(tf.keras.losses.Loss):
    """Cross-entropy of logits with labels: integers [batch, 1], or distributions [batch, classes]."""

    def __init__(self, name: str = "cross_entropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    @override
    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        if y_true.dtype.is_integer:
            return tf.keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        return tf.keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True)


class Accuracy(tf.keras.metrics.SparseCategoricalAccuracy):
    """Share of images whose largest logit is that of the label, or of the largest part of a distribution."""

    @override
    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tf.Operation:
        return super().update_state(_classes(y_true), y_pred, sample_weight)


class TopAccuracy(tf.keras.metrics.SparseTopKCategoricalAccuracy):
    """Share of images whose label is among the `TOP` largest logits."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"k": TOP, "name": f"top{TOP}", **kwargs})

    @override
    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tf.Operation:
        return super().update_state(_classes(y_true), y_pred, sample_weight)


def metrics(classes: int) -> list[tf.keras.metrics.Metric]:
    """The metrics beside the loss, for training and held-out images alike.

    Args:
        classes: number of classes.
    """
    return [Accuracy(name="accuracy"), *([TopAccuracy()] if classes > TOP else [])]


def _classes(labels: tf.Tensor) -> tf.Tensor:
    return labels if labels.dtype.is_integer else tf.argmax(labels, axis=-1)
