"""Progressive kernels as the signs that they are in a file, and what that changes."""

import dataclasses

import larq as lq
import numpy as np
import tensorflow as tf

from bnn_keras.nn import quantizers


@dataclasses.dataclass(frozen=True)
class Hardening:
    """What the hard sign did to a model whose kernels were not all signs yet.

    Args:
        temperature: the highest of its kernels.
        values: of all progressive kernels.
        soft: those among them that were neither +1 nor -1.
        images: that both were run on.
        other_class: images whose class changed.
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
        """For a person."""
        found = (
            f"hard sign: {self.soft:,} of {self.values:,} kernel values were not yet +1 or -1 "
            f"(T = {self.temperature:.2g}); the class changes on {self.other_class} of {self.images} images"
        )
        if self.accuracy is None or self.hard_accuracy is None:
            return found
        return f"{found}, accuracy from {self.accuracy:.2%} to {self.hard_accuracy:.2%}"


def harden(model: tf.keras.Model) -> tf.keras.Model:
    """A copy whose progressive kernels are signs; the model itself if it has none."""
    if not quantizers.progressive(model):
        return model
    hard = tf.keras.models.clone_model(model, clone_function=_harden)
    for layer, copy in zip(model.layers, hard.layers, strict=True):
        # The temperature comes last.
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
    """Compare a model with its `harden`ed copy; None if it has no progressive kernel.

    Args:
        images: float32 [n, height, width, channels].
        labels: [n] class numbers, or None.
    """
    parts = [layer for layer in model.layers if _is_progressive(layer)]
    if not parts:
        return None
    kernels = [layer.kernel_quantizer(layer.kernel.latent_variable).numpy() for layer in parts]
    before, after = (one.predict(images, batch_size=32, verbose=0) for one in (model, hard))
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
