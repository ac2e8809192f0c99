"""The recipes, by their names: a readable file each, which says where its values come from."""

import os
from pathlib import Path

from bnn_keras.errors import one_of
from bnn_keras.settings.recipe import Recipe
from bnn_keras.settings.recipe_file import SUFFIX, read_recipe

FILES = {path.stem: path for path in sorted(Path(__file__).parent.glob(f"*{SUFFIX}"))}


def list_recipes() -> list[str]:
    """The names that `load` takes, sorted."""
    return sorted(FILES)


def load(name: str | os.PathLike) -> Recipe:
    """A recipe by its name, or from a file of the user's own.

    Args:
        name: one of `list_recipes()`, or a path that ends in .toml.

    Raises:
        UserError: an unknown name, or a file that `bnn_keras.settings.recipe_file` refuses.
    """
    if str(name).endswith(SUFFIX):
        return read_recipe(Path(name), FILES)
    if name not in FILES:
        raise one_of("recipe", name, [*FILES, f"FILE{SUFFIX}"])
    return read_recipe(FILES[str(name)], FILES)
