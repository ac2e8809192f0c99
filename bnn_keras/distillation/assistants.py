"""Knowledge boosting: assistants one after the other (BNext, section 4.2, algorithm 1).

Assistant k of n teaches in the k-th of n equal parts of training, in increasing order of accuracy and
knowledge complexity. Which one follows from the epoch alone, so a resumed run has the right one.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from bnn_keras.distillation.teacher import Teacher
from bnn_keras.errors import UserError


def part(epoch: int, epochs: int, assistants: int) -> int:
    """The assistant of an epoch, from 0.

    Args:
        epoch: from 0.
        epochs: of the whole training.
        assistants: how many.
    """
    return min(epoch * assistants // epochs, assistants - 1)


def switches(epochs: int, assistants: int) -> list[int]:
    """The epochs, counted from 1, that begin with another assistant.

    Raises:
        UserError: fewer epochs than assistants.
    """
    if assistants > epochs:
        raise UserError(f"{assistants} assistants need at least {assistants} epochs. Received: {epochs}.")
    parts = [part(epoch, epochs, assistants) for epoch in range(epochs)]
    return [epoch + 1 for epoch in range(1, epochs) if parts[epoch] != parts[epoch - 1]]


def in_order(teachers: Sequence[Teacher]) -> list[Teacher]:
    """By accuracy, then knowledge complexity; as they are if one's accuracy is not known."""
    if any(teacher.accuracy is None for teacher in teachers):
        return list(teachers)
    return sorted(teachers, key=lambda teacher: (teacher.accuracy, teacher.complexity))


class SwitchAssistant(tf.keras.callbacks.Callback):
    """Lets the assistant of the epoch teach, and says when it is another one.

    Args:
        names: of the assistants, in order.
        epochs: of the whole training.
        choose: is told the number of the assistant, from 0.
    """

    def __init__(self, names: Sequence[str], epochs: int, choose: Callable[[int], object]):
        super().__init__()
        self._names, self._epochs, self._choose = names, epochs, choose
        self._last: int | None = None

    def on_epoch_begin(self, epoch, logs=None):
        now = part(epoch, self._epochs, len(self._names))
        self._choose(now)
        if now != self._last:
            print(
                f"assistant from epoch {epoch + 1} on: {self._names[now]} ({now + 1} of {len(self._names)})"
            )
        self._last = now
