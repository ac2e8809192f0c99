"""JSON files read as typed values: what a file holds fits the type or is refused in one sentence."""

import os
import re
from typing import TypeVar

import msgspec

from bnn_keras import files
from bnn_keras.errors import UserError

AT_MOST = 2**24  # bytes; the manifest of 1,000 classes has 30,000

Kind = TypeVar("Kind")


def read_json(path: str | os.PathLike, kind: type[Kind], what: str) -> Kind:
    """Read a JSON file.

    Args:
        path: of the file.
        kind: the type to read: a dataclass or `msgspec.Struct` (a key without a field is ignored, a
            field without a default is required), or a type such as `dict[str, int]`. Ranges are part
            of the type: `Annotated[int, msgspec.Meta(ge=1, le=2**31)]`.
        what: the file's role, for the message: "the settings of a run".

    Returns:
        A value of `kind`.

    Raises:
        UserError: the file cannot be read, is not JSON, or its content does not fit `kind`.
    """
    content = files.read_bytes(path, AT_MOST)
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{path} does not hold {what}: {_reason(error)}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not a whole JSON file: {_first_line(error)}.") from error


def _reason(error: msgspec.ValidationError) -> str:
    # The place as a user would write it: recipe.epochs for `$.recipe.epochs`.
    return re.sub(r" - at `\$\.?(.*)`$", r" at \1", _first_line(error)).replace("`", "")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
