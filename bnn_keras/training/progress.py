"""What a training run prints while it goes on: its speed, its metrics, and the time that is left."""

import textwrap
import time
from collections.abc import Callable, Mapping

import tensorflow as tf
from typing_extensions import override

from bnn_keras import status

WIDTH = 80  # of printed lines
MEANS = ("loss", "accuracy")  # the metrics that are shown and recorded within an epoch
HELD_OUT = "val_"  # begins Keras's names of the metrics of the held-out images


class Pace:
    """The time that the steps of this process take."""

    def __init__(self) -> None:
        self._steps, self._seconds = -1, 0.0  # the first step builds the graph, and does not count

    def count(self, seconds: float) -> None:
        """Count a step."""
        self._steps += 1
        self._seconds += seconds if self._steps else 0.0

    @property
    def started(self) -> bool:
        """Whether there was a step."""
        return self._steps >= 0

    @property
    def step(self) -> float | None:
        """Seconds of a step; None as long as they are not known."""
        return self._seconds / self._steps if self._steps > 0 and self._seconds else None


class Progress(tf.keras.callbacks.Callback):
    """Shows the progress of a run, and hands the means of every interval to a recorder.

    A terminal has a status line. Elsewhere a line is written in every interval. Both tell how long the
    epoch and the whole run will still take at the pace of this process. An epoch ends with its metrics.

    Args:
        epochs: of the whole run.
        steps: of a whole epoch.
        batch_size: images in a step.
        first_step: returns the step at which an epoch starts or is resumed, from 0.
        settings: returns what is shown beside the metrics of an epoch, such as the learning rate.
        interval: seconds between two lines, and between two records.
        record: is called with the number of completed steps in the epoch, and the means of the steps since
            its previous call; at least once in an epoch.
    """

    def __init__(
        self,
        epochs: int,
        steps: int,
        batch_size: int,
        *,
        first_step: Callable[[], int],
        settings: Callable[[], Mapping[str, float]],
        interval: float,
        record: Callable[[int, Mapping[str, float]], None],
    ) -> None:
        super().__init__()
        self._epochs, self._steps, self._batch_size = epochs, steps, batch_size
        self._first_step, self._settings, self._record = first_step, settings, record
        self._interval, self._status = interval, status.Frequent(interval)
        self._pace = Pace()
        self._latest = self._between = 0.0  # the end of the latest step; seconds between two epochs

    @override
    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        now = time.monotonic()
        if self._latest:
            self._between = now - self._latest
        self._name = f"epoch {epoch + 1}/{self._epochs}"
        self._epochs_left = self._epochs - epoch - 1
        self._began = self._latest = self._recorded = now
        self._step = self._recorded_step = self._first_step()
        # Of a resumed epoch: the metrics are means over all of its steps.
        restored = [metric for metric in self.model.metrics if self._step and metric.name in MEANS]
        self._recorded_means = {metric.name: float(metric.result()) for metric in restored}
        if not self._pace.started:
            status.show(f"{self._name}: building the training graph")

    @override
    def on_train_batch_end(self, batch: int, logs: dict) -> None:
        now = time.monotonic()
        self._pace.count(now - self._latest)
        self._latest = now
        self._step += 1
        is_last = self._step == self._steps
        if now - self._recorded >= self._interval or (is_last and self._recorded == self._began):
            self._record(self._step, self._means_since_record(logs))
            self._recorded, self._recorded_step, self._recorded_means = now, self._step, dict(logs)
        if not is_last:
            self._status.show(f"{self._name}, step {self._step}/{self._steps}: {self._figures(logs)}")

    @override
    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._status.show(f"{self._name}: held-out images, batch {batch + 1}")

    @override
    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        training = {name: value for name, value in logs.items() if not name.startswith(HELD_OUT)}
        held_out = {
            name.removeprefix(HELD_OUT): value for name, value in logs.items() if name not in training
        }
        title = f"{self._name}, {duration(time.monotonic() - self._began)}: "
        status.clear()
        print(_line(title, {**training, **self._settings()}))
        print(_line("held out: ".rjust(len(title)), held_out), flush=True)

    def _figures(self, logs: dict) -> str:
        """The time that is left first: a narrow terminal cuts off the metrics, which the epoch ends with."""
        shown = []
        if self._pace.step:
            epoch = (self._steps - self._step) * self._pace.step
            further = self._steps * self._pace.step + self._between
            run = epoch + self._between + self._epochs_left * further
            rate = self._batch_size / self._pace.step
            shown += [
                f"ETA {duration(epoch)}, run {duration(run)}, {rate:.{0 if rate >= 10 else 1}f} images/s"
            ]
        shown += [f"{name} {_number(logs[name])}" for name in MEANS if name in logs]
        return ", ".join(shown)

    def _means_since_record(self, logs: dict) -> dict[str, float]:
        """The means of the steps since the latest record, from means since the beginning of the epoch."""
        steps = self._step - self._recorded_step
        before = self._recorded_means
        means = {
            name: (self._step * logs[name] - self._recorded_step * before.get(name, 0.0)) / steps
            for name in MEANS
            if name in logs
        }
        speed = {"images_per_second": self._batch_size / self._pace.step} if self._pace.step else {}
        return {**means, **self._settings(), **speed}


def duration(seconds: float) -> str:
    """A duration in its two largest units, such as 9m31s or 3d04h."""
    whole = round(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d{hours % 24:02}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{whole % 60:02}s" if minutes else f"{whole}s"


def _line(title: str, values: Mapping[str, float]) -> str:
    parts = [f"{name} {_number(value)}" for name, value in values.items()]
    text = ", ".join(parts).replace(" ", "\N{NO-BREAK SPACE}").replace(",\N{NO-BREAK SPACE}", ", ")
    wrapped = textwrap.fill(text, WIDTH, initial_indent=title, subsequent_indent=" " * len(title))
    return wrapped.replace("\N{NO-BREAK SPACE}", " ")


def _number(value: float) -> str:
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:.3g}"
