"""What a run shows: scalars for TensorBoard, pictures, and one page with everything.

`python -m bnn_keras report` draws them again, or draws the flips of several runs in one picture.
"""

from bnn_keras.report.tensorboard import TRAINING, Events
from bnn_keras.report.writing import write

__all__ = ["TRAINING", "Events", "write"]
