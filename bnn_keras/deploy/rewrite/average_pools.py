"""Average pooling as a depthwise convolution with equal weights.

TFLite's pooling takes about twice the instructions. It is used where every window lies within the image, as
a window at the border has the mean of fewer pixels.
"""

import math
from typing import Any

import tensorflow as tf

from bnn_keras.deploy.rewrite.kinds import kind
from bnn_keras.deploy.rewrite.operations import Network

NAME = "average_pools"
NEEDS = "average poolings whose windows divide the image"
AVERAGE_CONV = "average_conv"


def apply(network: Network, runtime: str) -> int:
    """Change the form of average poolings; the number of places."""
    count = 0
    for pool in [one for one in network.operations() if one.kind == "average_pool"]:
        edges = pool.inputs[0].shape[1:3]
        size, strides = pool.settings["size"], pool.settings["strides"]
        covered = pool.settings["padding"] == "VALID" or all(
            edge is not None and edge % stride == 0 and window == stride
            for edge, window, stride in zip(edges, size, strides, strict=True)
        )
        if covered and size[0] <= 3 and strides[0] == strides[1]:
            pool.kind = AVERAGE_CONV
            network.extra.append((pool.call, math.prod(size) * pool.channels))
            network.extra.append((pool.call, pool.channels))  # every convolution has a bias
            count += 1
    return count


@kind(AVERAGE_CONV)
def _average_conv(x: tf.Tensor, size: Any, strides: Any, padding: str) -> tf.Tensor:
    """Average pooling as a depthwise convolution, which is cheaper; windows lie within the image."""
    kernel = tf.fill([*size, x.shape[-1], 1], tf.constant(1 / (size[0] * size[1]), x.dtype))
    return tf.nn.depthwise_conv2d(x, kernel, [1, *strides, 1], padding)
