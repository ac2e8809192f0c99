"""Train with several workers on this machine, and start them again when one is killed.

bnn launch --workers 2 -- train.py --model=meliusnet22 --batch_size=64

Every worker runs the command after --, with the cluster in TF_CONFIG. The terminal shows the output of
the first worker. When a worker is killed they all start again, from the last checkpoint.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from absl.flags import FlagValues

from bnn_keras.cli.door import MISTAKE
from bnn_keras.cli.flags import COUNT, PATH, Flag
from bnn_keras.errors import UserError

NEEDS_TENSORFLOW = False
FLAGS = [
    Flag("workers", COUNT, "processes on this machine", 2),
    Flag("logs", PATH, "folder for the output of the other workers; a temporary one if not given"),
]


def run(values: FlagValues, command: list[str]) -> None:
    """Run a command in several workers until it is done.

    Raises:
        UserError: there is no command, or workers are killed again and again without progress.
        SystemExit: a worker failed by itself; with its status, after its output.
    """
    from bnn_keras.training import workers

    if not command:
        raise UserError("There is no command: give it after --, such as `-- train.py --epochs=3`.")
    is_script = command[0].endswith(".py")
    if not (os.path.isfile(command[0]) if is_script else shutil.which(command[0])):
        raise UserError(f"There is no file or program {command[0]} that workers could run.")
    program = command[0]
    if is_script:
        command = [sys.executable, *command]
    with tempfile.TemporaryDirectory(prefix="bnn_keras_launch") as scratch:
        status = workers.run_until_done(command, values.workers, Path(values.logs or scratch), scratch)
    if status:
        if status != MISTAKE:
            print(f"{program} ended with status {status}.", file=sys.stderr)
        sys.exit(status)
