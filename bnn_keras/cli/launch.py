"""Train with several workers on this machine, and start them again when one is killed.

python -m bnn_keras launch --workers 2 -- train.py --model=meliusnet22 --batch_size=64

Every worker runs the command behind --, with the cluster in TF_CONFIG. The terminal shows the first
worker. When one is killed they all start again and go on from the last checkpoint.
"""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from absl import flags

from bnn_keras import files
from bnn_keras.cli import command as cli
from bnn_keras.errors import UserError
from bnn_keras.training.distribution import CLUSTER

RESUMED = re.compile(rb"\(global step (\d+)\)")  # what bnn_keras.training.loop prints of a resumed run
STARTS = 5  # from one and the same step
POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0  # a mistake that all workers find is said by the first one
TAIL_LINES = 30


def flag_values() -> flags.FlagValues:
    """The flags, with their defaults."""
    values = flags.FlagValues()
    flags.DEFINE_integer("workers", 2, "processes on this machine", flag_values=values, lower_bound=1)
    meaning = "folder for the output of the other workers; a temporary one if not given"
    flags.DEFINE_string("logs", None, meaning, flag_values=values)
    return values


def launch(values: flags.FlagValues, command: list[str]) -> None:
    """Run a command in several workers until it is done.

    Raises:
        UserError: there is no command, or workers are killed again and again without progress.
        SystemExit: a worker failed by itself: its status, after its output.
    """
    if not command:
        raise UserError("There is no command: give it behind --, such as `-- train.py --epochs=3`.")
    is_script = command[0].endswith(".py")
    if not (Path(command[0]).is_file() if is_script else shutil.which(command[0])):
        raise UserError(f"There is no file or program {command[0]} that workers could run.")
    if is_script:
        command = [sys.executable, *command]
    with tempfile.TemporaryDirectory(prefix="bnn_keras_launch") as scratch, _terminable():
        _start_until_done(command, values.workers, Path(values.logs or scratch), scratch)


def _start_until_done(command: Sequence[str], workers: int, logs: Path, scratch: str) -> None:
    starts, step = 0, -1
    while True:
        with Group(command, workers, logs, scratch) as group:
            failed, status = group.wait()
        if failed is None:
            return
        if status > 0:
            failed.tell()
            sys.exit(status)
        starts, step = (starts + 1 if group.resumed_at == step else 1), group.resumed_at
        what = f"orker {failed.index} was killed by {signal.Signals(-status).name}"
        if starts == STARTS:
            raise UserError(
                f"W{what}, and {STARTS} starts from step {max(step, 0)} came to no later checkpoint: "
                f"is there memory for {workers} workers?"
            )
        print(f"w{what}; all start again", flush=True)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Ended from outside, the launcher ends the workers first."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Worker:
    """A process of the group; the first one has the terminal, the others have a log.

    Args:
        command: what it runs.
        addresses: of all workers.
        index: which of them this is.
        output: where the first one writes.
        logs: the folder for the others' output.
        scratch: the folder for the others' temporary files, which a killed one leaves.
    """

    def __init__(
        self,
        command: Sequence[str],
        addresses: Sequence[str],
        index: int,
        output: IO[bytes],
        logs: Path,
        scratch: str,
    ):
        self.index, self.log = index, logs / f"worker{index}.log"
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, CLUSTER: json.dumps(cluster)}
        with contextlib.ExitStack() as stack:
            streams: dict = {"stdout": output}
            if index:
                environment["TMPDIR"] = scratch
                log = stack.enter_context(_appended(self.log))
                streams = {"stdout": log, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                **streams,
                # Of its own: Ctrl-C is for the launcher alone, which ends them all.
                start_new_session=True,
            )

    @property
    def status(self) -> int | None:
        """Its exit status, minus the signal that killed it, or None while it runs."""
        return self.process.poll()

    def kill(self) -> None:
        """End it with its children."""
        if self.status is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def tell(self) -> None:
        """Show why it failed, on standard error, where the first one has said so itself."""
        if self.index:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            sentence = [line for line in lines if line.startswith("error: ")][-1:]
            print(*(sentence or lines[-TAIL_LINES:]), sep="\n", file=sys.stderr)


class Group:
    """All workers of one start; when its context ends none of them is left.

    Attributes:
        resumed_at: the global step that they went on from, -1 if from none.
    """

    def __init__(self, command: Sequence[str], workers: int, logs: Path, scratch: str):
        self.resumed_at = -1
        with contextlib.ExitStack() as stack:
            # A terminal stays one for the first worker, which draws a progress bar there.
            output, theirs = pty.openpty() if sys.stdout.isatty() else os.pipe()
            stack.callback(os.close, output)
            relay = threading.Thread(target=self._show, args=[output], daemon=True)
            relay.start()
            stack.callback(relay.join)
            addresses, self._workers = _free_addresses(workers), []
            with os.fdopen(theirs, "wb") as writer:
                for i in range(workers):
                    self._workers.append(Worker(command, addresses, i, writer, logs, scratch))
                    stack.callback(self._workers[i].kill)
            self._end = stack.pop_all()

    def __enter__(self) -> "Group":
        return self

    def __exit__(self, *_) -> None:
        self._end.close()

    def wait(self) -> tuple[Worker | None, int]:
        """Wait until all are done.

        Returns:
            The worker that failed, or that was killed, and its status; None and 0 if there is none.
        """
        while not any(worker.status for worker in self._workers):
            if all(worker.status == 0 for worker in self._workers):
                return None, 0
            time.sleep(POLL_SECONDS)
        ended = [(worker, worker.status) for worker in self._workers if worker.status]
        # Whoever loses a peer fails or aborts as well: the others are suspected first.
        killed = [(worker, status) for worker, status in ended if status < 0 and status != -signal.SIGABRT]
        failed = [(worker, status) for worker, status in ended if status > 0]
        if failed and not killed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._workers[0].process.wait(GRACE_SECONDS)
            first = self._workers[0].status
            return (self._workers[0], first) if first and first > 0 else failed[0]
        return (killed or ended)[0]

    def _show(self, source: int) -> None:
        """Hand the first worker's output on, and see where it resumes."""
        line = b""
        # A terminal whose last writer is gone reads as an error.
        with contextlib.suppress(OSError):
            while output := os.read(source, 2**16):
                sys.stdout.buffer.write(output)
                sys.stdout.flush()
                *complete, line = (line + output).split(b"\n")
                for match in map(RESUMED.search, complete):
                    self.resumed_at = int(match[1]) if match else self.resumed_at


def _appended(path: Path) -> IO[bytes]:
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "ab")


def _free_addresses(number: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [f"localhost:{one.getsockname()[1]}" for one in sockets]


def main(argv: Sequence[str] | None = None) -> int:
    """The door."""
    return cli.run(launch, flag_values(), __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
