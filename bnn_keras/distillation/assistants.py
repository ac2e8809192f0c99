"""Knowledge boosting: assistants that teach one after another (BNext, section 4.2, algorithm 1).

Assistant k of n teaches in the k-th of n equal parts of the training, in increasing order of accuracy
and knowledge complexity. The assistant depends on the epoch alone, so that a resumed run has the same.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf
from typing_extensions import override

from bnn_keras.distillation.teacher import Teacher
from bnn_keras.errors import UserError


def assistant_of(epoch: int, epochs: int, assistants: int) -> int:
    """The index of the assistant that teaches in an epoch.

    Args:
        epoch: from 0.
        epochs: of the whole training.
        assistants: number of assistants.
    """
    return min(epoch * assistants // epochs, assistants - 1)


def switch_epochs(epochs: int, assistants: int) -> list[int]:
    """The epochs, counted from 1, at whose beginning the assistant changes.

    Raises:
        UserError: fewer epochs than assistants.
    """
    if assistants > epochs:
        raise UserError(f"{assistants} assistants need at least {assistants} epochs. Received: {epochs}.")
    active = [assistant_of(epoch, epochs, assistants) for epoch in range(epochs)]
    return [epoch + 1 for epoch in range(1, epochs) if active[epoch] != active[epoch - 1]]


def sort_assistants(teachers: Sequence[Teacher]) -> list[Teacher]:
    """Sort by accuracy, then knowledge complexity; keep the order if an accuracy is not known."""
    if any(teacher.accuracy is None for teacher in teachers):
        return list(teachers)
    return sorted(teachers, key=lambda teacher: (teacher.accuracy, teacher.complexity))


class SwitchAssistant(tf.keras.callbacks.Callback):
    """Activates the assistant of each epoch, and prints when it changes.

    Args:
        names: of the assistants, in order.
        epochs: of the whole training.
        choose: activates the assistant with this index.
    """

    def __init__(self, names: Sequence[str], epochs: int, choose: Callable[[int], object]) -> None:
        super().__init__()
        self._names, self._epochs, self._choose = names, epochs, choose
        self._last: int | None = None

    @override
    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        now = assistant_of(epoch, self._epochs, len(self._names))
        self._choose(now)
        if now != self._last:
            print(
                f"assistant from epoch {epoch + 1} on: {self._names[now]} ({now + 1} of {len(self._names)})"
            )
        self._last = now
