"""What a killed run resumes from: TensorFlow's checkpoints, and the removal of partial ones."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from bnn_keras import files
from bnn_keras.errors import UserError
from bnn_keras.runs.folder import LIST

KEEP = 2  # newest checkpoints
PREFIX = "ckpt"  # TensorFlow's name of a checkpoint


class Checkpoints:
    """Writes checkpoints of objects to a folder, and restores them.

    Args:
        folder: that this process writes to.
        objects: what a checkpoint holds, by name; as for `tf.train.Checkpoint`.
    """

    def __init__(self, folder: Path, **objects: Any) -> None:
        self._folder, self._checkpoint = folder, tf.train.Checkpoint(**objects)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(folder), max_to_keep=KEEP, checkpoint_name=PREFIX
        )

    def save(self) -> None:
        """Write a checkpoint, and remove the oldest if there are more than `KEEP`.

        Raises:
            UserError: it cannot be written.
        """
        with tensorflow_errors(f"Cannot write a checkpoint to {self._folder}"):
            self._manager.save()

    def restore(self, folder: Path) -> bool:
        """Restore the newest checkpoint of a folder, and whether there is one.

        Raises:
            UserError: it cannot be read.
        """
        listed = _listed(folder)
        if not listed:
            return False
        # TensorFlow's reader raises an IndexError for a truncated file.
        with tensorflow_errors(f"Cannot read checkpoint {listed[-1]}", IndexError):
            self._checkpoint.restore(str(listed[-1])).assert_consumed()
        return True


def remove_partial(folder: Path) -> None:
    """Remove what a process left that was killed while it wrote a checkpoint.

    That is every checkpoint that the folder's list does not name, whole or not, and TensorFlow's
    temporary files and folders. To be called by the only process that writes to the folder.

    Raises:
        UserError: the list cannot be read, or a file cannot be removed.
    """
    whole = {path.name for path in _listed(folder)}
    for entry in folder.glob("*"):
        checkpoint = re.fullmatch(rf"({PREFIX}-\d+)\.(index|data-\d+-of-\d+)", entry.name)
        if entry.name == LIST or (checkpoint and checkpoint[1] in whole):
            continue
        if entry.name.startswith((f"{PREFIX}-", f"{LIST}.tmp")):
            with files.writing(entry):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _listed(folder: Path) -> list[Path]:
    """The checkpoints that a folder's list names, oldest first, without their suffixes.

    Raises:
        UserError: there is a list, but it cannot be read.
    """
    state = tf.train.get_checkpoint_state(str(folder))
    if state is None and (folder / LIST).exists():
        raise UserError(f"Cannot read {folder / LIST}, the list of checkpoints.")
    return [] if state is None else [Path(path) for path in state.all_model_checkpoint_paths]


@contextlib.contextmanager
def tensorflow_errors(what: str, *more: type[Exception]) -> Iterator[None]:
    """Turn an error of TensorFlow's own file operations into one sentence.

    Args:
        what: the beginning of the sentence.
        more: other exceptions that are treated alike.

    Raises:
        UserError: instead of TensorFlow's error.
    """
    try:
        yield
    except (tf.errors.OpError, *more) as error:
        # Without the names of operations and of temporary files.
        line = re.sub(r"^\{\{.*?\}\} | \[Op:.*", "", str(error).splitlines()[0])
        raise UserError(f"{what}: {line.split('; ')[-1]}.") from error
