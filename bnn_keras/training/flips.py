"""How often binary weights change their sign (MeliusNet, supplement, section 3 and figure 4)."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from bnn_keras.runs.table import PERCENTILES

BITS = 64  # of a word
BYTES = 8


def binary_kernels(model: tf.keras.Model) -> dict[str, tf.Variable]:
    """The latent weights of every binary kernel, by the name of its layer, in the model's order."""
    return {
        weight.name.split(":")[0].removesuffix("/kernel"): weight.latent_variable
        for weight in model.trainable_weights
        if getattr(weight, "precision", None) == 1
    }


class FlipCounter:
    """Counts, for each binary weight, the batches of an epoch that changed its sign.

    A weight of exactly 0 counts as +1, as for the quantizer. Signs and counts are stored as bit planes
    with 64 weights in a word: plane k holds bit k of every count, and the flips of a batch are added to
    the 64 counts of a word at once, as a binary adder does. This moves less memory than one count per
    weight, so it is faster and the checkpoints are smaller.

    Args:
        model: with any number of binary kernels, or none.
        batches: of the longest epoch, which decides the number of planes.
    """

    # Not a tf.Module: it would track the kernels, and a checkpoint must hold them only once.
    def __init__(self, model: tf.keras.Model, batches: int = 2**31 - 1) -> None:
        self._kernels = binary_kernels(model)
        self._signs = tf.Variable(self._words(), trainable=False, name="signs")
        self._planes = [
            tf.Variable(tf.zeros_like(self._signs), trainable=False, name=f"flips_bit{k}")
            for k in range(batches.bit_length())
        ]

    @property
    def variables(self) -> list[tf.Variable]:
        """The signs after the last batch, and the counts: the whole state."""
        return [self._signs, *self._planes]

    @tf.function
    def update(self) -> None:
        """Count the signs that changed since the last call; to be called after every batch."""
        now = self._words()
        carry = tf.bitwise.bitwise_xor(now, self._signs)
        self._signs.assign(now)
        for plane in self._planes:
            before = plane.read_value()
            plane.assign(tf.bitwise.bitwise_xor(before, carry))
            carry = tf.bitwise.bitwise_and(before, carry)

    def reset(self) -> None:
        """Start an epoch with the present weights."""
        self._signs.assign(self._words())
        for plane in self._planes:
            plane.assign(tf.zeros_like(plane))

    def counts(self) -> dict[str, np.ndarray]:
        """The flips of every weight since `reset`, int64 in the shape of the kernel, by the layer's name."""
        flat = sum(_bits(plane.numpy()).astype(np.int64) << k for k, plane in enumerate(self._planes))
        sizes = [int(np.prod(kernel.shape)) for kernel in self._kernels.values()]
        pieces = np.split(flat, np.cumsum(sizes))
        return {
            name: piece.reshape(kernel.shape)
            for (name, kernel), piece in zip(self._kernels.items(), pieces, strict=False)
        }

    def _words(self) -> tf.Tensor:
        """The signs of all kernels in sequence, one bit each, int64 [words]."""
        signs = [tf.reshape(kernel >= 0, [-1]) for kernel in self._kernels.values()]
        weights = sum(int(sign.shape[0]) for sign in signs)
        padding = tf.zeros([-weights % BITS], tf.bool)
        # Eight words whose bytes are 0 or 1 become one: the i-th is shifted by i bits, and they are added.
        octets = tf.reshape(tf.cast(tf.concat([*signs, padding], 0), tf.uint8), [BYTES, -1, BYTES])
        shifts = tf.constant([[1 << bit] for bit in range(8)], tf.int64)
        return tf.reduce_sum(tf.bitcast(octets, tf.int64) * shifts, 0)


def _bits(words: np.ndarray) -> np.ndarray:
    """The inverse of `_words`: uint8 0 or 1 for each weight, then for the padding."""
    octets = words.view(np.uint8)
    return np.concatenate([octets >> bit & 1 for bit in range(8)])


def rows(epoch: int, counts: Mapping[str, np.ndarray]) -> list[dict]:
    """A row for each kernel: mean flips of a weight, the share of weights without any, percentiles.

    Args:
        epoch: written into the rows.
        counts: from `FlipCounter.counts`.
    """
    return [{"epoch": epoch, "kernel": name, **_statistics(flips)} for name, flips in counts.items()]


def _statistics(counts: np.ndarray) -> dict:
    percentiles = np.percentile(counts, PERCENTILES)
    return {
        "weights": counts.size,
        "mean": float(counts.mean()),
        "stable": float((counts == 0).mean()),
        **{f"p{p}": float(value) for p, value in zip(PERCENTILES, percentiles, strict=True)},
    }
