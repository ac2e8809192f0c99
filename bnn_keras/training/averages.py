"""The moving average of a network's weights, which is measured and saved in place of the weights."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf
from typing_extensions import override


class Averages:
    """An exponential moving average of the weights, updated after every step.

    After step t, counted from 1, it is m * average + (1 - m) * weight, m = min(decay, (1 + t) / (10 + t)), as
    in `tf.train.ExponentialMovingAverage`: at first the weights change quickly, and a constant decay would
    keep the initial ones for too long. It includes the latent weights of binary kernels, whose binary weights
    are the signs of the average, and the statistics of BatchNorm, which have to fit the averaged weights. The
    temperatures of progressive quantizers are not averaged.

    Args:
        network: whose weights are averaged.
        decay: from 0 to 1; None averages nothing.
    """

    # Not a tf.Module: it would track the weights, and a checkpoint must hold them only once.
    def __init__(self, network: tf.keras.Model, decay: float | None) -> None:
        self._weights = [] if decay is None else _averaged(network)
        self._decay = decay or 0.0
        self._averages = [tf.Variable(weight, trainable=False) for weight in self._weights]

    @property
    def variables(self) -> list[tf.Variable]:
        """The averages: the whole state, empty if nothing is averaged."""
        return self._averages

    def reset(self) -> None:
        """Start from the present weights."""
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.assign(weight)

    @tf.function
    def update(self, step: tf.Tensor) -> None:
        """Take the weights after a step into the averages.

        Args:
            step: its number, from 1; int64.
        """
        t = tf.cast(step, tf.float64)
        m = tf.minimum(tf.constant(self._decay, tf.float64), (1 + t) / (10 + t))
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.assign_add(tf.cast(1 - m, average.dtype) * (weight - average))

    def apply(self) -> list[tf.Tensor]:
        """Give the averages to the network, and return its own weights, for `restore`."""
        trained = [tf.identity(weight) for weight in self._weights]
        self.restore(self._averages)
        return trained

    def restore(self, weights: Sequence[tf.Tensor]) -> None:
        """Give the network its own weights again."""
        for weight, value in zip(self._weights, weights, strict=True):
            weight.assign(value)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network have the averages as its weights in the block."""
        trained = self.apply()
        try:
            yield
        finally:
            self.restore(trained)


class MeasureAverages(tf.keras.callbacks.Callback):
    """Measures the averages on the held-out images: the network has them during validation."""

    def __init__(self, averages: Averages) -> None:
        super().__init__()
        self._averages = averages
        self._trained: list[tf.Tensor] = []

    @override
    def on_test_begin(self, logs: dict | None = None) -> None:
        self._trained = self._averages.apply()

    @override
    def on_test_end(self, logs: dict | None = None) -> None:
        self._averages.restore(self._trained)


def _averaged(network: tf.keras.Model) -> list[tf.Variable]:
    """The trained weights and the statistics of BatchNorm."""
    statistics = [
        statistic
        for layer in network.submodules
        if isinstance(layer, tf.keras.layers.BatchNormalization) and layer.trainable
        for statistic in layer.non_trainable_weights
    ]
    trained = [getattr(weight, "latent_variable", weight) for weight in network.trainable_weights]
    return [*trained, *statistics]
