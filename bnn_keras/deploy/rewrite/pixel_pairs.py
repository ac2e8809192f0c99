"""A strided convolution of few channels takes pairs of pixels as one pixel of twice the channels.

XNNPACK's kernels take four channels at once, and those beyond a multiple of four one by one. A convolution
with stride 2 along rows of 3 channels is one with stride 1 along rows of pairs, which have 6. Where the
kernel begins or ends within a pair, it gets zeros.
"""

import numpy as np
import tensorflow as tf

from bnn_keras.accounting.cost.unit_costs import FLOAT, TABLE
from bnn_keras.accounting.cost.work import LANES
from bnn_keras.deploy.rewrite.kinds import kind
from bnn_keras.deploy.rewrite.operations import Network, Operation
from bnn_keras.settings.runtime import LCE_XNNPACK

NAME = "pixel_pairs"
NEEDS = "XNNPACK, and a 32-bit convolution with stride 2 of few channels"
PAIRS = "pairs"


def apply(network: Network, runtime: str) -> int:
    """Let convolutions take pairs of pixels; the number of places."""
    count = 0
    for conv in [one for one in network.operations() if one.kind == "conv" and runtime == LCE_XNNPACK]:
        batch, height, width, channels = conv.inputs[0].shape
        kernel = conv.constants["kernel"]
        wide = _wide(kernel, conv.settings["padding"])
        has_stride = conv.settings["strides"][1] == 2 and tuple(conv.settings["dilations"]) == (1, 1)
        if width is None or width % 2 or not has_stride or _instructions(wide) >= _instructions(kernel):
            continue
        pairs = Operation(
            PAIRS, conv.inputs, (batch, height, width // 2, 2 * int(channels or 0)), call=conv.call
        )
        conv.inputs, conv.constants = [pairs], {"kernel": wide}
        conv.settings = {**conv.settings, "strides": (conv.settings["strides"][0], 1)}
        network.extra.append((conv.call, wide.size))
        count += 1
    return count


def _wide(kernel: np.ndarray, padding: str) -> np.ndarray:
    """The kernel over pairs of pixels."""
    height, width, channels, filters = kernel.shape
    before = max(width - 2, 0) // 2 if padding == "SAME" else 0  # pixels that are added to an even row
    first = before % 2  # the place of the kernel's first pixel in its pair
    columns = -(-(first + width) // 2)
    pixels = np.zeros((height, 2 * columns, channels, filters))
    pixels[:, first : first + width] = kernel
    return pixels.reshape(height, columns, 2 * channels, filters)


def _instructions(kernel: np.ndarray) -> float:
    """XNNPACK's for one output pixel, by the table of unit costs."""
    height, width, channels, filters = kernel.shape
    costs = {unit: cost.column("xnnpack") for unit, cost in TABLE["CONV_2D", FLOAT].items()}
    of_tap = filters * (costs["MAC"] * channels + costs["odd MAC"] * (channels % LANES)) + costs["tap"]
    return height * width * of_tap


@kind(PAIRS)
def _pairs(x: tf.Tensor) -> tf.Tensor:
    height, width, channels = x.shape[1:]
    return tf.reshape(x, [-1, height, width // 2, 2 * channels])
