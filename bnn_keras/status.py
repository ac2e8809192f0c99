"""What a command is doing at the moment, for the person who waits.

A terminal has one status line, which is overwritten and in the end erased. Elsewhere, as in a log file,
every status is a line, written at once.
"""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

LOG_SECONDS = 30.0  # between two lines of a log on the progress of the same work
REDRAW_SECONDS = 0.2  # between two states of the status line of a terminal
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


class Frequent:
    """Shows a status that changes often: as often as one can read it, and in a log once in an interval.

    Args:
        interval: seconds between two lines of a log.
    """

    def __init__(self, interval: float = LOG_SECONDS) -> None:
        self._interval, self._shown = interval, time.monotonic()

    def show(self, text: str) -> None:
        """Show a text, unless another one was shown just now."""
        now = time.monotonic()
        if now - self._shown >= (REDRAW_SECONDS if on_terminal() else self._interval):
            self._shown = now
            show(text)


def counted(items: Iterable[Item], total: int, text: str) -> Iterator[Item]:
    """Yield the items of a long piece of work, and show how many are done.

    Args:
        items: pieces of the work.
        total: their number.
        text: what is being done.
    """
    frequent = Frequent()
    for number, item in enumerate(items):
        frequent.show(f"{text}: {number} of {total}")
        yield item
    clear()
