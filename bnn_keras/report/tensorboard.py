"""Events for TensorBoard: a run of the training images and one of the held-out images.

Both have the same names of scalars, so TensorBoard draws them in one chart. The horizontal axis counts steps.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from bnn_keras import files
from bnn_keras.runs.folder import RunFolder

TRAINING, VALIDATION = "train", "validation"  # folders, as Keras's callback names them
HELD_OUT = "val_"  # begins Keras's names of the metrics of the held-out images


class Events:
    """The event files of a run: one for each part that a process writes.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder.tensorboard
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def cut(self, step: int) -> None:
        """Remove what a killed run wrote after its checkpoint; of each part one file is left.

        Args:
            step: the number of completed steps that the run goes on from.
        """
        for part in (TRAINING, VALIDATION):
            found = sorted((self._folder / part).glob("events.out.tfevents.*"))
            with files.writing(self._folder):
                kept = [record for file in found for record in _records_until(str(file), step)]
                if kept:
                    with (
                        files.replacing(found[0]) as temporary,
                        tf.io.TFRecordWriter(str(temporary)) as writer,
                    ):
                        for record in kept:
                            writer.write(record)
                for file in found[bool(kept) :]:
                    file.unlink()

    def write(
        self,
        part: str,
        step: int,
        scalars: Mapping[str, float],
        histograms: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Write numbers, which TensorBoard can show at once.

        Args:
            part: `TRAINING` or `VALIDATION`.
            step: the number of completed steps of the run.
            scalars: by name; slashes in a name make groups.
            histograms: arrays of any shape by name, of whose values the distribution is shown.
        """
        with files.writing(self._folder):
            if part not in self._writers:
                self._writers[part] = tf.summary.create_file_writer(str(self._folder / part))
            with self._writers[part].as_default(step=step):
                for name, value in scalars.items():
                    tf.summary.scalar(name, value)
                for name, values in (histograms or {}).items():
                    tf.summary.histogram(name, values)
            self._writers[part].flush()

    def write_epoch(self, step: int, results: Mapping[str, float], flips: Mapping[str, np.ndarray]) -> None:
        """Write the results of an epoch.

        Args:
            step: the number of completed steps of the run.
            results: metrics and settings as in history.csv.
            flips: of every weight in the epoch, by the name of its kernel.
        """
        training = {name: value for name, value in results.items() if not name.startswith(HELD_OUT)}
        held_out = {name.removeprefix(HELD_OUT): results[name] for name in results if name not in training}
        self.write(TRAINING, step, training, {f"flips/{name}": counts for name, counts in flips.items()})
        self.write(VALIDATION, step, held_out)

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _records_until(file: str, step: int) -> list[bytes]:
    """The events of a file up to a step; a killed process may have left its last event incomplete."""
    kept = []
    try:
        for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
            if tf.compat.v1.Event.FromString(record).step <= step:
                kept.append(record)
    except (tf.errors.DataLossError, DecodeError):
        pass
    return kept if len(kept) > 1 else []  # the first event holds the version of the format
