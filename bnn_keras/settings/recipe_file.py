"""Recipes as TOML files, which may extend other recipes."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bnn_keras import files
from bnn_keras.errors import UserError, one_of
from bnn_keras.settings.kinds import Text, convert_value
from bnn_keras.settings.recipe import KINDS, REQUIRED, Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIX = ".toml"
EXTENDS = "extends"
AT_MOST = 2**20  # bytes
_NAME = Text(f"the name of a recipe, or a file that ends in {SUFFIX}")
_NONE: Mapping[str, Path] = MappingProxyType({})


def read_recipe(path: Path, named: Mapping[str, Path] = _NONE, extending: tuple[Path, ...] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: of a TOML file with the keys of `Recipe`. If it has the key "extends", the other keys change
            the recipe of that name as flags would (see `Recipe.override`).
        named: the files of recipes that can be extended by their name. Others are named by their path,
            relative to the file that extends them.
        extending: files that extend this one.

    Raises:
        UserError: the file cannot be read, is not TOML, has an unknown key or a value that is not valid,
            lacks a key, or extends itself.
    """
    values = _read_toml(path)
    for key in values:
        if key not in (*KINDS, EXTENDS):
            raise one_of(f"key of the recipe {path}:", key, [EXTENDS, *KINDS])
    if EXTENDS in values:
        base = _base(path, convert_value(f"extends in {path}", _NAME, values.pop(EXTENDS)), named)
        chain = (*extending, Path(os.path.abspath(path)))
        if Path(os.path.abspath(base)) in chain:
            raise UserError(f"The recipe {path} extends itself: {' extends '.join(map(str, chain))}.")
        return read_recipe(base, named, chain).override(**values)
    for key in REQUIRED:
        if key not in values:
            raise UserError(f"The recipe {path} does not say {key}; it needs {', '.join(REQUIRED)}.")
    return Recipe(**values)


def _base(path: Path, name: str, named: Mapping[str, Path]) -> Path:
    if name.endswith(SUFFIX):
        return path.parent / name
    if name not in named:
        raise one_of(f"recipe that {path} extends:", name, [*named, f"FILE{SUFFIX}"])
    return named[name]


def _read_toml(path: Path) -> dict[str, Any]:
    text = files.read_text(path, AT_MOST)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"The recipe {path} is not TOML: {error}.") from error
