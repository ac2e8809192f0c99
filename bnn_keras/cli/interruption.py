"""Ctrl-C and SIGTERM end a command with one line, whatever becomes of the exception on its way.

A KeyboardInterrupt lets the command clean up. TensorFlow may swallow it in a callback from C++, print
it, or turn it into an exception of its own, so the line is written before it is raised, standard error
is closed to everything that follows, and a command that does not end is ended.

A command that has something to save asks `requested` at the moments at which it can stop. From its first
question on, a signal is only noted, until the next question; a second signal ends the process at once.
"""

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

GRACE_SECONDS = 5.0  # for removing temporary files and ending other processes


class Interruption:
    """Listens to the signals that end a process.

    Args:
        advice: what to type to go on.

    Attributes:
        status: the exit status of the interrupted process, 128 + the signal's number; None before.
    """

    def __init__(self, advice: str) -> None:
        self.status: int | None = None
        self._asked = False  # whether the command has asked: from then on a signal is only noted
        self._advice = advice
        # Of its own: standard error leads nowhere while TensorFlow is imported.
        self._terminal = os.dup(2)

    def listen(self) -> "Interruption":
        """Take over the signals; one that the parent process wants to be ignored stays ignored."""
        global _listening
        _listening = self
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._interrupt)
        return self

    def requested(self) -> bool:
        """Whether a signal has come; the command that asks this saves its work and ends itself."""
        self._asked = True
        return self.status is not None

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.status is not None:
            if self._asked:
                self.leave()
            return  # the command is cleaning up
        self.status = 128 + number
        if self._asked:
            self._tell("interrupted, saving a checkpoint (a second time ends at once)")
            return
        self._tell("interrupted")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  until the end of the process
        timer = threading.Timer(GRACE_SECONDS, self.leave)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    def _tell(self, what: str) -> None:
        """Write what happens, and what to type to go on."""
        new_line = "\n" if os.isatty(self._terminal) else ""
        with contextlib.suppress(OSError):  # nobody may be reading
            os.write(self._terminal, f"{new_line}{what}; {self._advice}\n".encode())

    def leave(self) -> NoReturn:
        """End the process at once, without what Python and TensorFlow do at the end."""
        os._exit(self.status or 0)


_listening: Interruption | None = None  # of this process


def requested() -> bool:
    """Whether the command shall save its work and end: see `Interruption.requested`."""
    return _listening is not None and _listening.requested()
