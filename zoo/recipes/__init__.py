"""The recipes, by their names: a readable file each, which says where its values come from."""

import os
from pathlib import Path

from bnn_keras.errors import one_of
from bnn_keras.settings.recipe import Recipe

FOLDER = Path(__file__).parent
SUFFIX = ".toml"


def list_recipes() -> list[str]:
    """The names that `load` takes, sorted."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def load(name: str | os.PathLike) -> Recipe:
    """A recipe by its name, or from a file of the user's own.

    Args:
        name: one of `list_recipes()`, or a path that ends in .toml.

    Raises:
        UserError: an unknown name, or a file that `Recipe.load` refuses.
    """
    if str(name).endswith(SUFFIX):
        return Recipe.load(name)
    if name not in list_recipes():
        raise one_of("recipe", name, [*list_recipes(), f"FILE{SUFFIX}"])
    return Recipe.load(FOLDER / f"{name}{SUFFIX}")
