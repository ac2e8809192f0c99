"""Progressive kernels are signs in a file: the model with signs, and what that changes."""

import dataclasses

import larq as lq
import numpy as np
import tensorflow as tf

from bnn_keras.deploy.scores import scores
from bnn_keras.nn import quantizers


@dataclasses.dataclass(frozen=True)
class Hardening:
    """What the hard sign changes in a model whose kernels are not all signs yet.

    Args:
        temperature: the highest one of its kernels.
        values: number of values in all progressive kernels.
        soft: number of those that were neither +1 nor -1.
        images: number of images that both models classified.
        other_class: number of images whose class changed.
        accuracy, hard_accuracy: shares of the images, before and after; None without labels.
    """

    temperature: float
    values: int
    soft: int
    images: int
    other_class: int
    accuracy: float | None = None
    hard_accuracy: float | None = None

    @property
    def sentence(self) -> str:
        """The result in words."""
        found = (
            f"hard sign: {self.soft:,} of {self.values:,} kernel values were not yet +1 or -1 "
            f"(T = {self.temperature:.2g}); the class changes on {self.other_class} of {self.images} images"
        )
        if self.accuracy is None or self.hard_accuracy is None:
            return found
        return f"{found}, accuracy from {self.accuracy:.2%} to {self.hard_accuracy:.2%}"


def harden(model: tf.keras.Model) -> tf.keras.Model:
    """A copy of a model whose progressive kernels are signs; the model itself if it has none."""
    if not quantizers.progressive(model):
        return model
    hard = tf.keras.models.clone_model(model, clone_function=_harden)
    for layer, copy in zip(model.layers, hard.layers, strict=True):
        # The last weight is the temperature.
        copy.set_weights(layer.get_weights()[: len(copy.weights)])
    return hard


def _harden(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
    config = layer.get_config()
    if _is_progressive(layer):
        config["kernel_quantizer"] = lq.quantizers.serialize(quantizers.kernel_sign())
    return type(layer).from_config(config)


def _is_progressive(layer: tf.keras.layers.Layer) -> bool:
    return isinstance(getattr(layer, "kernel_quantizer", None), quantizers.ProgressiveSign)


def measure(
    model: tf.keras.Model, hard: tf.keras.Model, images: np.ndarray, labels: np.ndarray | None = None
) -> Hardening | None:
    """Compare a model with its copy from `harden`; None if it has no progressive kernel.

    Args:
        model, hard: the model and its copy.
        images: float32 [n, height, width, channels].
        labels: [n] class numbers, or None.
    """
    parts = [layer for layer in model.layers if _is_progressive(layer)]
    if not parts:
        return None
    kernels = [layer.kernel_quantizer(layer.kernel.latent_variable).numpy() for layer in parts]
    before, after = (scores(one, images) for one in (model, hard))
    classifies = before.ndim == 2
    classes, hard_classes = before.argmax(-1), after.argmax(-1)
    known = labels is not None and classifies
    return Hardening(
        temperature=max(float(layer.kernel_quantizer.temperature) for layer in parts),
        values=sum(kernel.size for kernel in kernels),
        soft=sum(int((np.abs(kernel) != 1).sum()) for kernel in kernels),
        images=len(images),
        other_class=int((classes != hard_classes).sum()) if classifies else 0,
        accuracy=float((classes == labels).mean()) if known else None,
        hard_accuracy=float((hard_classes == labels).mean()) if known else None,
    )
