"""A shift of few channels, such as that of the image's normalisation, is added to whole rows of pixels.

TFLite and XNNPACK repeat a constant of 3 channels slowly, pixel by pixel.
"""

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.rewrite.kinds import kind
from bnn_keras.deploy.rewrite.operations import Network
from bnn_keras.deploy.rewrite.thresholds import FUSING

NAME = "image_shifts"
NEEDS = "a shift of fewer than 8 channels, such as that of the image's normalisation"
ROW_SHIFT = "row_shift"
FEW = 8  # channels


def apply(network: Network, runtime: str) -> int:
    """Change the form of shifts; the number of places."""
    count = 0
    for shift in [one for one in network.operations() if one.kind == "shift" and one.channels < FEW]:
        width, channels = int(shift.shape[2] or 1), shift.channels
        if width == 1 or shift.inputs[0].kind in FUSING:
            continue
        added = np.broadcast_to(shift.constants["shift"], (channels,))
        shift.kind, shift.constants = ROW_SHIFT, {"row": np.tile(added, width)}
        network.extra.append((shift.call, width * channels))
        count += 1
    return count


@kind(ROW_SHIFT)
def _row_shift(x: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
    """The shifts of all channels and pixels of a row, [width * channels], added to each row of an image."""
    shape = x.shape.as_list()
    rows = tf.reshape(x, [-1, shape[1], shape[2] * shape[3]])
    return tf.reshape(rows + row, [-1, *shape[1:]])
