"""The flags of an augmentation: those of a recipe's keys that have its names."""

import dataclasses
from collections.abc import Iterable

from absl import flags

from bnn_keras.settings import recipe
from bnn_keras.settings.augmentation import Augmentation

KEYS = tuple(field.name for field in dataclasses.fields(Augmentation))


def define(values: flags.FlagValues, keys: Iterable[str] = KEYS) -> None:
    """Define a flag for every key."""
    of_recipe = flags.FlagValues()
    recipe.define_flags(of_recipe)
    for key in keys:
        values[key] = of_recipe[key]


def given(
    values: flags.FlagValues, default: Augmentation | None = None, keys: Iterable[str] = KEYS
) -> Augmentation:
    """The augmentation that the flags change `default` to; None is the standard of the kind of data.

    Raises:
        UserError: see `Augmentation`.
    """
    changes = {key: values[key].value for key in keys if values[key].present}
    return dataclasses.replace(default or Augmentation(), **changes)
