"""Parts of a labelled set in which the classes keep their proportions."""

import numpy as np

from bnn_keras.errors import UserError

HELD_OUT = 0.2


def hold_out(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split a set into training and held-out examples, 80 to 20 in every class.

    Args:
        labels: of examples in an arbitrary order; the first ones of each class, at least one, are
            held out.

    Returns:
        Indices of the training examples and of the held-out ones, each ascending.
    """
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        held_out[members[: max(1, round(HELD_OUT * len(members)))]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def in_proportion(labels: np.ndarray, count: int | None) -> np.ndarray:
    """Choose `count` examples with the classes in proportion; None is all.

    Returns:
        Their indices, ascending.

    Raises:
        UserError: see `check_count`.
    """
    return np.sort(mixed(labels)[: check_count(count, len(labels))])


def mixed(labels: np.ndarray) -> np.ndarray:
    """An order of examples in which the first N have the classes in proportion, for every N."""
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(rank, kind="stable")


def check_count(train_examples: int | None, available: int) -> int:
    """The number of training examples to use; None is all.

    Raises:
        UserError: it is below 1 or above the number of those that are available.
    """
    if train_examples is None:
        return available
    if not 1 <= train_examples <= available:
        raise UserError(
            f"train_examples must be from 1 to {available}, the size of the training set. "
            f"Received: {train_examples}."
        )
    return train_examples
