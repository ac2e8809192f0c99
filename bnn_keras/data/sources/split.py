"""Parts of a labelled set with the classes in proportion."""

import numpy as np

from bnn_keras.errors import UserError

HELD_OUT = 0.2


def hold_out(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split into training and test examples, 80 to 20 in every class.

    Args:
        labels: of examples whose order says nothing; the first ones of a class are held out, at
            least one.

    Returns:
        Indices of the training and of the test examples, each in order.
    """
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        held_out[members[: max(1, round(HELD_OUT * len(members)))]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def in_proportion(labels: np.ndarray, count: int | None) -> np.ndarray:
    """Indices of `count` examples with the classes in proportion, in order; all of them if None.

    Raises:
        UserError: see `checked`.
    """
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(np.argsort(rank, kind="stable")[: checked(count, len(labels))])


def checked(train_examples: int | None, available: int) -> int:
    """The number of training examples that was asked for.

    Raises:
        UserError: there are not so many, or it is below 1.
    """
    if train_examples is None:
        return available
    if not 1 <= train_examples <= available:
        raise UserError(
            f"train_examples must be from 1 to {available}, what the training set has. "
            f"Received: {train_examples}."
        )
    return train_examples
