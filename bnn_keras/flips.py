"""How often binary weights change their sign (MeliusNet, supplement, section 3 and figure 4)."""

import numpy as np
import tensorflow as tf

PERCENTILES = (50, 90, 95, 99)
COLUMNS = ("epoch", "kernel", "weights", "mean", "stable", *(f"p{p}" for p in PERCENTILES))


def binary_kernels(model: tf.keras.Model) -> dict[str, tf.Variable]:
    """The latent weights of every binary kernel, by the name of its layer."""
    return {
        weight.name.split(":")[0].removesuffix("/kernel"): weight.latent_variable
        for weight in model.trainable_weights
        if getattr(weight, "precision", None) == 1
    }


class FlipCounter:
    """Counts, for each binary weight, the batches of an epoch that changed its sign."""

    # Not a tf.Module: it would track the kernels, and a checkpoint must hold them only once.
    def __init__(self, model: tf.keras.Model):
        self._kernels = binary_kernels(model)
        self._signs = [tf.Variable(w >= 0, trainable=False) for w in self._kernels.values()]
        self._counts = [tf.Variable(tf.zeros(w.shape, tf.int32), trainable=False) for w in self._signs]

    @property
    def variables(self) -> list[tf.Variable]:
        """The counts, and the signs after the last batch: what the count goes on from."""
        return [*self._signs, *self._counts]

    @tf.function
    def update(self) -> None:
        """Compare the signs with those of the last call; to be called behind every batch."""
        for weight, sign, count in zip(self._kernels.values(), self._signs, self._counts, strict=True):
            now = weight >= 0
            count.assign_add(tf.cast(now != sign, tf.int32))
            sign.assign(now)

    def reset(self) -> None:
        """Begin an epoch, with the weights as they are now."""
        for weight, sign, count in zip(self._kernels.values(), self._signs, self._counts, strict=True):
            sign.assign(weight >= 0)
            count.assign(tf.zeros_like(count))

    def rows(self, epoch: int) -> list[dict]:
        """A row a kernel: flips per weight, the share of weights without one, percentiles."""
        return [
            {"epoch": epoch, "kernel": name, **_statistics(count.numpy())}
            for name, count in zip(self._kernels, self._counts, strict=True)
        ]


def _statistics(counts: np.ndarray) -> dict:
    percentiles = np.percentile(counts, PERCENTILES)
    return {
        "weights": counts.size,
        "mean": float(counts.mean()),
        "stable": float((counts == 0).mean()),
        **{f"p{p}": float(value) for p, value in zip(PERCENTILES, percentiles, strict=True)},
    }
