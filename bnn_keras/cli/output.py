"""Results as files: a text that a flag sends to a file or to standard output, and JSON of it."""

import json
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

from bnn_keras import files
from bnn_keras.cli.flags import PATH, Flag
from bnn_keras.errors import UserError

STDOUT = "-"


def flag(name: str, form: str) -> Flag:
    """The flag for the file of a result; `form` is its file format, for --help."""
    return Flag(name, PATH, f"also write the result to this {form} file; - prints it instead of the text")


def check(paths: Sequence[str | None]) -> bool:
    """Check the paths of a command's results, before work that takes long.

    Args:
        paths: the values of its flags; None for one that is not given.

    Returns:
        Whether the command prints its text, because none of its results goes to standard output.

    Raises:
        UserError: two of them are the same, or one cannot be written.
    """
    given = [path for path in paths if path is not None]
    if len({path if path == STDOUT else os.path.realpath(path) for path in given}) < len(given):
        raise UserError(f"Two results cannot have one place. Received: {given[0]!r} for both.")
    for path in given:
        if path != STDOUT:
            files.check_writable(path)
    return STDOUT not in given


def write(path: str, text: str) -> None:
    """Write a text to a file, or to standard output if the path is "-"."""
    if path == STDOUT:
        sys.stdout.write(text)
    else:
        files.write_text(path, text)


def as_json(value: Any) -> str:
    """JSON of a value, in one line; what is no finite number is null."""
    return json.dumps(_without_nan(value), allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
