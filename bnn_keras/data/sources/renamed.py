"""A source whose labels are the outputs of a network, by the names of the classes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bnn_keras.data import imagenet
from bnn_keras.data.sources.images import Contents
from bnn_keras.data.sources.source import Source
from bnn_keras.errors import UserError


@dataclasses.dataclass
class Renamed:
    """A source with other numbers for its classes.

    Args:
        source: of the images.
        class_names: in the new order, at least those of the source.
        labels: the new label of each label of the source.
    """

    source: Source
    class_names: tuple[str, ...]
    labels: np.ndarray

    @classmethod
    def by_name(cls, source: Source, class_names: Sequence[str], name: str) -> "Renamed":
        """Number the classes of a source as a network does.

        Args:
            source: of the images.
            class_names: of the network's outputs.
            name: of the data set, for the message.

        Raises:
            UserError: the source has a class that the network does not know.
        """
        number = {known: label for label, known in enumerate(imagenet.in_words(class_names))}
        found = dict(zip(source.class_names, imagenet.in_words(source.class_names), strict=True))
        unknown = [own for own, known in found.items() if known not in number]
        if unknown:
            raise UserError(
                f"{name} has the class {unknown[0]!r}, which the network does not know; it knows "
                f"{_short(class_names)}."
            )
        return cls(source, tuple(class_names), np.array([number[known] for known in found.values()]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def read(self, record: tf.Tensor) -> tuple[Contents, tf.Tensor]:
        """As `Source.read`, with the new label."""
        contents, label = self.source.read(record)
        return contents, tf.gather(tf.constant(self.labels, tf.int64), label)


def _short(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} others" if len(names) > most else "")
