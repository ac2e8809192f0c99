"""The classes of ImageNet: their identifiers, as `n02123045`, and their names in English."""

import functools
import re
from collections.abc import Sequence

DATASET = "imagenet2012"
_IDENTIFIER = re.compile(r"n\d{8}")


@functools.cache
def identifiers() -> tuple[str, ...]:
    """The identifiers in the order of published weights, as TensorFlow Datasets names the classes."""
    import tensorflow_datasets as tfds  # imported here because it takes a second

    return tuple(tfds.builder(DATASET).info.features["label"].names)


@functools.cache
def names() -> tuple[str, ...]:
    """The names in the same order: of each class the first one, or all where two classes share the first."""
    # Not documented, but the only list of names that an installed package has.
    from tensorflow_datasets.datasets.siscore import labels

    every = labels.IMAGENET_LABELS_LIST
    first = [synonyms.partition(", ")[0] for synonyms in every]
    return tuple(
        name if first.count(name) == 1 else synonyms for name, synonyms in zip(first, every, strict=True)
    )


def in_words(class_names: Sequence[str]) -> tuple[str, ...]:
    """The names of classes, in which names in English stand for ImageNet's identifiers.

    Networks and data sets may name the same class in either way; so their names can be compared.
    """
    if not any(map(_IDENTIFIER.fullmatch, class_names)):
        return tuple(class_names)
    words = dict(zip(identifiers(), names(), strict=True))
    return tuple(words.get(name, name) for name in class_names)
