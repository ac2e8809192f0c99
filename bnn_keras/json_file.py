"""JSON files read as typed values: what a file holds fits the type or is refused in one sentence."""

import json
import math
import os
import re
from typing import NoReturn, TypeVar

import msgspec

from bnn_keras import files
from bnn_keras.errors import UserError

AT_MOST = 2**24  # bytes; the manifest of 1,000 classes has 30,000

Kind = TypeVar("Kind")


def read_json(path: str | os.PathLike, kind: type[Kind], what: str, at_most: int = AT_MOST) -> Kind:
    """Read a JSON file.

    Args:
        path: of the file.
        kind: the type to read: a dataclass or `msgspec.Struct` (a key without a field is ignored, a
            field without a default is required), or a type such as `dict[str, int]`. Ranges are part
            of the type: `Annotated[int, msgspec.Meta(ge=1, le=2**31)]`.
        what: the file's role, for the message: "the settings of a run".
        at_most: the largest size in bytes.

    Returns:
        A value of `kind`.

    Raises:
        UserError: the file cannot be read, is not JSON, or its content does not fit `kind`.
    """
    content = files.read_bytes(path, at_most)
    try:
        # Not msgspec's parser: it has no names of files that are not UTF-8.
        found = json.loads(content, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a whole JSON file: {_first_line(error)}.") from error
    try:
        return msgspec.convert(found, kind)
    except (msgspec.ValidationError, RecursionError, UnicodeError) as error:  # half a character: "\ud800"
        raise UserError(f"{path} does not hold {what}: {_reason(error)}.") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not in JSON")


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"Number out of range: {text[:40]}")
    return float(text)


def _reason(error: Exception) -> str:
    # The place as a user would write it: recipe.epochs for `$.recipe.epochs`.
    return re.sub(r" - at `\$\.?(.*)`$", r" at \1", _first_line(error)).replace("`", "")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
