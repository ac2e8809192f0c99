"""How far a verification has come, for its user."""

import sys
import time

SECONDS = 30  # between two lines, if there is no terminal


class Progress:
    """Prints the number of stages that are compared.

    A terminal shows one line, which is overwritten; a log gets a line at most every 30 seconds.

    Args:
        total: number of stages; 0 prints nothing.
    """

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self._is_terminal = sys.stdout.isatty()
        self._last = time.monotonic()

    def advance(self) -> None:
        """A stage more is compared."""
        self.done += 1
        is_last = self.done == self.total
        if self.total and self._is_terminal:
            print(f"\r{self}", end="\n" if is_last else "", flush=True)
        elif self.total and time.monotonic() - self._last >= SECONDS:
            self._last = time.monotonic()
            print(self, flush=True)

    def __str__(self) -> str:
        return f"verifying: {self.done} of {self.total} stages"
