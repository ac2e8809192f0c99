"""What a command is doing at the moment, for the person who waits.

A terminal has one status line, which is overwritten and in the end erased. Elsewhere, as in a log file,
every status is a line, written at once.
"""

import contextlib
import shutil
import sys
from collections.abc import Iterator

LOG_SECONDS = 30.0  # between two lines of a log on the progress of the same work
ERASE = "\r\x1b[K"  # back to the beginning of the line, and erase it


def on_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def show(text: str) -> None:
    """Replace the status line; text that does not fit into the terminal is cut off."""
    if on_terminal():
        width = shutil.get_terminal_size().columns - 1  # a terminal may wrap a full line
        print(f"{ERASE}{text[:width]}", end="", flush=True)
    else:
        print(text, flush=True)


def clear() -> None:
    """Erase the status line, so that a line that stays can be printed."""
    if on_terminal():
        print(ERASE, end="", flush=True)


@contextlib.contextmanager
def doing(text: str) -> Iterator[None]:
    """Show what is being done as long as it lasts."""
    show(text)
    try:
        yield
    finally:
        clear()
