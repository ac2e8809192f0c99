"""What a run shows: scalars for TensorBoard, pictures, and one page.

`python -m bnn_keras.report` draws them again, and the flips of several runs in one picture.
"""

import bnn_keras.cli  # noqa: F401  first: run as a command, this keeps TensorFlow's import quiet
from bnn_keras.report.tensorboard import write_scalars
from bnn_keras.report.writing import write

__all__ = ["write", "write_scalars"]
