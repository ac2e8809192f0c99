"""The folder that keeps what can be computed or downloaded again."""

import os
from pathlib import Path

VARIABLE = "BNN_KERAS_CACHE"  # the environment variable that moves it


def folder() -> Path | None:
    """The folder: `VARIABLE`'s, or ~/.cache/bnn-keras; None if the user has no home folder."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    # The specification of XDG ignores paths that are not absolute.
    usual = os.environ.get("XDG_CACHE_HOME", "")
    home = usual if os.path.isabs(usual) else os.path.expanduser("~/.cache")
    return Path(home, "bnn-keras") if os.path.isabs(home) else None
