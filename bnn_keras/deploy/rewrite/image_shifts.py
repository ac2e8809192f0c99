"""A shift of few channels, such as that of the image's normalisation, is added to whole rows of pixels.

TFLite and XNNPACK repeat a constant of 3 channels slowly, pixel by pixel.
"""

import numpy as np

from bnn_keras.deploy.rewrite.operations import Network
from bnn_keras.deploy.rewrite.thresholds import FUSING

NAME = "image_shifts"
NEEDS = "a shift of fewer than 8 channels, such as that of the image's normalisation"
FEW = 8  # channels


def apply(network: Network, runtime: str) -> int:
    """Change the form of shifts; the number of places."""
    count = 0
    for shift in [one for one in network.operations() if one.kind == "shift" and one.channels < FEW]:
        width, channels = int(shift.shape[2] or 1), shift.channels
        if width == 1 or shift.inputs[0].kind in FUSING:
            continue
        added = np.broadcast_to(shift.constants["shift"], (channels,))
        shift.kind, shift.constants = "row_shift", {"row": np.tile(added, width)}
        network.extra.append((shift.call, width * channels))
        count += 1
    return count
