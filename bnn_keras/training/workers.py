"""The processes of a training with several workers: started together, and again when one is killed."""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from bnn_keras import files
from bnn_keras.errors import UserError
from bnn_keras.settings.address import CLUSTER

RESUMED = re.compile(rb"\(global step (\d+)\)")  # what bnn_keras.training.loop prints when it resumes
STARTS = 5  # from one and the same step
POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0  # a mistake that all workers find is shown by the first one
TAIL_LINES = 30


def run_until_done(command: Sequence[str], workers: int, logs: Path, scratch: str) -> int:
    """Run a command in several workers, and again from the last checkpoint whenever one is killed.

    Args:
        command: a program and its arguments.
        workers: number of processes.
        logs: folder for the output of all workers but the first.
        scratch: folder for their temporary files.

    Returns:
        0 if the work was done; otherwise the exit status of a worker that failed by itself, whose output
        has been shown.

    Raises:
        UserError: workers are killed again and again without progress.
    """
    starts, step = 0, -1
    while True:
        with Group(command, workers, logs, scratch) as group:
            failed, status = group.wait()
        if failed is None:
            return 0
        if status > 0:
            failed.show_reason()
            return status
        starts, step = (starts + 1 if group.resumed_at == step else 1), group.resumed_at
        what = f"orker {failed.index} was killed by {signal.Signals(-status).name}"
        if starts == STARTS:
            raise UserError(
                f"W{what}, and {STARTS} starts from step {max(step, 0)} came to no later checkpoint: "
                f"is there memory for {workers} workers?"
            )
        print(f"w{what}; all start again", flush=True)


class Worker:
    """A process of the group. The first one writes to the terminal, the others write to a log.

    Args:
        command: what it runs.
        addresses: of all workers.
        index: which of them this is.
        output: where the first one writes.
        logs: the folder for the output of the others.
        scratch: the folder for the temporary files of the others, which a killed one leaves.
    """

    def __init__(
        self,
        command: Sequence[str],
        addresses: Sequence[str],
        index: int,
        output: IO[bytes],
        logs: Path,
        scratch: str,
    ) -> None:
        self.index, self.log = index, logs / f"worker{index}.log"
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, CLUSTER: json.dumps(cluster)}
        with contextlib.ExitStack() as stack:
            streams: dict[str, Any] = {"stdout": output}
            if index:
                environment["TMPDIR"] = scratch
                log = stack.enter_context(_open_to_append(self.log))
                streams = {"stdout": log, "stderr": subprocess.STDOUT}
            try:
                self.process = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    **streams,
                    # In a session of its own: Ctrl-C reaches the launcher alone, which ends all workers.
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:  # the latter for a null character
                reason = getattr(error, "strerror", None) or str(error)
                raise UserError(f"{command[0]} cannot be executed: {reason}.") from error

    @property
    def status(self) -> int | None:
        """Its exit status, minus the number of the signal that killed it, or None while it runs."""
        return self.process.poll()

    def kill(self) -> None:
        """End it and its child processes."""
        if self.status is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def show_reason(self) -> None:
        """Show on standard error why it failed; the first worker has done so itself."""
        if self.index:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            sentence = [line for line in lines if line.startswith("error: ")][-1:]
            print(*(sentence or lines[-TAIL_LINES:]), sep="\n", file=sys.stderr)


class Group:
    """All workers of one start; when its context ends, none of them is left.

    Args:
        command, workers, logs, scratch: see `run_until_done`.

    Attributes:
        resumed_at: the global step that they resumed from, -1 if they began anew.
    """

    def __init__(self, command: Sequence[str], workers: int, logs: Path, scratch: str) -> None:
        self.resumed_at = -1
        with contextlib.ExitStack() as stack:
            # The first worker gets a terminal if there is one, so that it draws a progress bar.
            output, theirs = pty.openpty() if sys.stdout.isatty() else os.pipe()
            stack.callback(os.close, output)
            relay = threading.Thread(target=self._show, args=[output], daemon=True)
            relay.start()
            stack.callback(relay.join)
            addresses, self._workers = _free_addresses(workers), []
            with os.fdopen(theirs, "wb") as writer:
                for i in range(workers):
                    with _signals_put_off():
                        self._workers.append(Worker(command, addresses, i, writer, logs, scratch))
                        stack.callback(self._workers[i].kill)
            self._end = stack.pop_all()

    def __enter__(self) -> "Group":
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def wait(self) -> tuple[Worker | None, int]:
        """Wait until all are done.

        Returns:
            The worker that failed or was killed, and its status; None and 0 if there is none.
        """
        while not any(worker.status for worker in self._workers):
            if all(worker.status == 0 for worker in self._workers):
                return None, 0
            time.sleep(POLL_SECONDS)
        # A worker that loses a peer fails or aborts as well, perhaps before its peer is seen to have ended:
        # the others are suspected first.
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and self._may_hide_a_failure():
            time.sleep(POLL_SECONDS)
        ended = [(worker, worker.status) for worker in self._workers if worker.status]
        killed = [(worker, status) for worker, status in ended if status < 0 and status != -signal.SIGABRT]
        failed = [(worker, status) for worker, status in ended if status > 0]
        if failed and not killed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._workers[0].process.wait(GRACE_SECONDS)
            first = self._workers[0].status
            return (self._workers[0], first) if first and first > 0 else failed[0]
        return (killed or ended)[0]

    def _may_hide_a_failure(self) -> bool:
        """Whether some workers still run, and none has ended otherwise than well or by an abort."""
        seen = {worker.status for worker in self._workers}
        return None in seen and seen <= {None, 0, -signal.SIGABRT}

    def _show(self, source: int) -> None:
        """Pass the output of the first worker on, and see where it resumes."""
        line = b""
        # Reading a terminal whose last writer is gone is an error.
        with contextlib.suppress(OSError):
            while output := os.read(source, 2**16):
                sys.stdout.buffer.write(output)
                sys.stdout.flush()
                *complete, line = (line + output).split(b"\n")
                for match in map(RESUMED.search, complete):
                    self.resumed_at = int(match[1]) if match else self.resumed_at


@contextlib.contextmanager
def _signals_put_off() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM: a process that is being started must be known first, to be ended too."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for received in came[:1]:
        signal.raise_signal(received)


def _open_to_append(path: Path) -> IO[bytes]:
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "ab")


def _free_addresses(number: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [f"localhost:{one.getsockname()[1]}" for one in sockets]
