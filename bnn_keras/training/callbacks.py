"""Keras callbacks of a training run."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from typing_extensions import override

from bnn_keras.errors import UserError


class EveryBatch(tf.keras.callbacks.Callback):
    """Calls a function after every batch."""

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__()
        self._function = function

    @override
    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._function()


class StartMetrics(tf.keras.callbacks.Callback):
    """Restores the running metrics of a resumed epoch, which Keras resets at its beginning.

    Args:
        values: the variables of each metric.
    """

    def __init__(self, values: list[list[np.ndarray]]) -> None:
        super().__init__()
        self._values = values

    @override
    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        for metric, values in zip(self.model.metrics, self._values, strict=True):
            metric.set_weights(values)


class Temperature(tf.keras.callbacks.Callback):
    """Lowers the temperature of progressive quantizers from epoch to epoch (BNext, section 5.1).

    In epoch e, counted from 0, it is start * decay**e. It depends on the epoch alone, so that a
    resumed run has the same temperatures.

    Args:
        quantizers: from `bnn_keras.nn.quantizers.progressive`.
        starts: temperature of each at the beginning of the run, float32 [quantizers].
        decay: factor of an epoch, from 0 to 1.
    """

    def __init__(self, quantizers: Sequence, starts: tf.Variable, decay: float) -> None:
        super().__init__()
        self._quantizers, self._starts, self._decay = quantizers, starts, decay

    @override
    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        for quantizer, start in zip(self._quantizers, self._starts.numpy(), strict=True):
            quantizer.temperature.assign(float(start) * self._decay**epoch)


class StopAtNaN(tf.keras.callbacks.Callback):
    """Ends a run whose loss is not finite, before anything more is saved."""

    @override
    def on_train_batch_end(self, batch: int, logs: dict) -> None:
        if not math.isfinite(logs["loss"]):
            raise not_a_number(f"The loss is {logs['loss']}", self.model.optimizer)


def not_a_number(what: str, optimizer: tf.keras.optimizers.Optimizer) -> UserError:
    """The error for a training that diverged in the latest step.

    Args:
        what: the beginning of the sentence.
        optimizer: that took the step.
    """
    step, rate = int(optimizer.iterations.numpy()), float(optimizer.learning_rate.numpy())
    return UserError(
        f"{what} in step {step} at the learning rate {rate:g}; earlier checkpoints are kept: start "
        f"again in another --output_dir with a lower --learning_rate."
    )
