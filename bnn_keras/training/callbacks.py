"""What happens around the batches of an epoch."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from bnn_keras.errors import UserError


class EveryBatch(tf.keras.callbacks.Callback):
    """Calls a function behind every batch."""

    def __init__(self, function: Callable[[], None]):
        super().__init__()
        self._function = function

    def on_train_batch_end(self, batch, logs=None):
        self._function()


class StartMetrics(tf.keras.callbacks.Callback):
    """Starts an epoch with the running metrics of its first part, which Keras has just reset."""

    def __init__(self, values: list[list[np.ndarray]]):
        super().__init__()
        self._values = values

    def on_epoch_begin(self, epoch, logs=None):
        for metric, values in zip(self.model.metrics, self._values, strict=True):
            metric.set_weights(values)


class Temperature(tf.keras.callbacks.Callback):
    """Lowers the temperature of progressive quantizers from epoch to epoch (BNext, section 5.1).

    In epoch e, counted from 0, it is start * decay**e: a function of the epoch alone, so that a
    resumed run has the same.

    Args:
        quantizers: of `bnn_keras.nn.quantizers.progressive`.
        starts: of each, at the beginning of the run; float32 [quantizers].
        decay: of an epoch, 0 to 1.
    """

    def __init__(self, quantizers: Sequence, starts: tf.Variable, decay: float):
        super().__init__()
        self._quantizers, self._starts, self._decay = quantizers, starts, decay

    def on_epoch_begin(self, epoch, logs=None):
        for quantizer, start in zip(self._quantizers, self._starts.numpy(), strict=True):
            quantizer.temperature.assign(float(start) * self._decay**epoch)


class StopAtNaN(tf.keras.callbacks.Callback):
    """Ends a run whose loss is no longer a number, before it is saved."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise not_a_number(f"The loss is {logs['loss']}", self.model.optimizer)


def not_a_number(what: str, optimizer: tf.keras.optimizers.Optimizer) -> UserError:
    """The error for a training that went astray in the step that was just taken."""
    step, rate = int(optimizer.iterations.numpy()), float(optimizer.learning_rate.numpy())
    return UserError(
        f"{what} in step {step} at the learning rate {rate:g}; what was saved before is kept: start again "
        f"in another --output_dir with a lower --learning_rate."
    )


class ProgressBar(tf.keras.callbacks.Callback):
    """Keras's progress bar, with the settings; one line an epoch where there is no terminal.

    Args:
        epochs: of the whole run.
        steps: of a whole epoch.
        first_step: that this epoch starts with.
        settings: gives what is shown beside the metrics, such as the learning rate.
    """

    def __init__(self, epochs: int, steps: int, first_step: int, settings: Callable[[], Mapping[str, float]]):
        super().__init__()
        self._epochs, self._steps, self._first_step = epochs, steps, first_step
        self._settings = settings

    def on_epoch_begin(self, epoch, logs=None):
        print(f"epoch {epoch + 1}/{self._epochs}")
        self._step = self._first_step
        self._bar = tf.keras.utils.Progbar(
            self._steps,
            verbose=1 if sys.stdout.isatty() else 2,
            stateful_metrics=[*self._settings(), *_names(self.model)],
        )

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        if self._step < self._steps:
            self._bar.update(self._step, self._values(logs))

    def on_epoch_end(self, epoch, logs=None):
        self._bar.update(self._steps, self._values(logs), finalize=True)

    def _values(self, logs) -> list[tuple[str, float]]:
        return [*self._settings().items(), *logs.items()]


def _names(model: tf.keras.Model) -> list[str]:
    return [prefix + metric.name for metric in model.metrics for prefix in ("", "val_")]
