"""What training minimises and what is counted, for labels that are classes or shares of classes."""

import tensorflow as tf

TOP = 5  # classes; with no more than these, top-5 accuracy says nothing


def smooth(labels: tf.Tensor, classes: int, smoothing: float) -> tf.Tensor:
    """Take a share of each label and spread it over all classes (Szegedy et al., 2016, section 7).

    Args:
        labels: integers [batch], or shares that sum to 1, [batch, classes].
        classes: how many there are.
        smoothing: the share, 0 to 1.

    Returns:
        Shares, float32 [batch, classes].
    """
    if labels.dtype.is_integer:
        labels = tf.one_hot(labels, classes)
    return (1 - smoothing) * labels + smoothing / classes


class CrossEntropy(tf.keras.losses.Loss):
    """Cross-entropy of logits with classes, integers [batch, 1], or with shares [batch, classes]."""

    def __init__(self, name: str = "cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        if y_true.dtype.is_integer:
            return tf.keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        return tf.keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True)


class Accuracy(tf.keras.metrics.SparseCategoricalAccuracy):
    """Share of images whose largest logit is that of the label, of a shared label's largest part."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(_classes(y_true), y_pred, sample_weight)


class TopAccuracy(tf.keras.metrics.SparseTopKCategoricalAccuracy):
    """Share of images with the label's class among the `TOP` largest logits."""

    def __init__(self, **kwargs):
        super().__init__(**{"k": TOP, "name": f"top{TOP}", **kwargs})

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(_classes(y_true), y_pred, sample_weight)


def metrics(classes: int) -> list[tf.keras.metrics.Metric]:
    """What is counted beside the loss, training and held-out alike."""
    return [Accuracy(name="accuracy"), *([TopAccuracy()] if classes > TOP else [])]


def _classes(labels: tf.Tensor) -> tf.Tensor:
    return labels if labels.dtype.is_integer else tf.argmax(labels, axis=-1)
