"""The flags of an augmentation: those of a recipe's keys that have its names."""

import dataclasses
from collections.abc import Iterable

from absl import flags

from bnn_keras.data.augment.augmentation import STANDARD, Augmentation
from bnn_keras.settings import recipe

KEYS = tuple(field.name for field in dataclasses.fields(Augmentation))


def define(values: flags.FlagValues, keys: Iterable[str] = KEYS) -> None:
    """Define a flag for every key."""
    of_recipe = flags.FlagValues()
    recipe.define_flags(of_recipe)
    for key in keys:
        values[key] = of_recipe[key]


def given(
    values: flags.FlagValues, default: Augmentation = STANDARD, keys: Iterable[str] = KEYS
) -> Augmentation:
    """The augmentation that the flags change `default` to.

    Raises:
        UserError: see `Augmentation`.
    """
    return dataclasses.replace(default, **{key: values[key].value for key in keys if values[key].present})
