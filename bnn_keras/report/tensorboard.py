"""Scalars for TensorBoard."""

from collections.abc import Mapping

import tensorflow as tf

from bnn_keras import files
from bnn_keras.runs.folder import RunFolder


def write_scalars(folder: RunFolder, epoch: int, scalars: Mapping[str, float]) -> None:
    """Write an epoch's numbers for TensorBoard.

    Args:
        folder: of the run.
        epoch: counted from 1; TensorBoard's step.
        scalars: by name; slashes in a name make groups.
    """
    with files.writing(folder.tensorboard):
        writer = tf.summary.create_file_writer(str(folder.tensorboard))
        with writer.as_default(step=epoch):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        writer.close()
