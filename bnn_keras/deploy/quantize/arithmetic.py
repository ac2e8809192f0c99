"""The operations that integers replace, in float64."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# TFLite's numbers of fused activations and of paddings.
ACTIVATIONS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    0: lambda x: x,
    1: lambda x: np.maximum(x, 0),
    2: lambda x: np.clip(x, -1, 1),
    3: lambda x: np.clip(x, 0, 6),
}
PADDINGS = {0: "SAME", 1: "VALID"}


def weighted(kind: str, x: np.ndarray, kernel: np.ndarray, options: Any) -> np.ndarray:
    """A convolution or a dense layer, without bias and activation.

    Args:
        kind: "CONV_2D" or "FULLY_CONNECTED".
        x: [n, height, width, channels], or [n, ...] of a dense layer.
        kernel: [output channels, height, width, channels of a group], or [outputs, inputs].
        options: of the operation.
    """
    if kind == "FULLY_CONNECTED":
        return x.reshape(-1, kernel.shape[-1]) @ kernel.T
    groups = x.shape[-1] // kernel.shape[-1]
    strides = options.strideH, options.strideW
    dilations = options.dilationHFactor, options.dilationWFactor
    parts = zip(np.split(x, groups, axis=-1), np.split(kernel, groups), strict=True)
    return np.concatenate(
        [
            tf.nn.conv2d(a, b.transpose(1, 2, 3, 0), strides, PADDINGS[options.padding], dilations=dilations)
            for a, b in parts
        ],
        axis=-1,
    )


def activated(x: np.ndarray, options: Any) -> np.ndarray:
    """The activation that is fused into an operation."""
    return ACTIVATIONS[options.fusedActivationFunction](x)


def move(
    kind: str, taken: Sequence[np.ndarray], shapes: Sequence[tuple[int, ...]], options: Any
) -> list[np.ndarray]:
    """What an operation gives that only moves integers.

    Args:
        kind: one of `bnn_keras.deploy.quantize.chains.MOVING`.
        taken: the integers that it takes.
        shapes: of what it gives.
        options: of the operation.
    """
    if kind == "CONCATENATION":
        return [np.concatenate(taken, axis=options.axis)]
    if kind == "MAX_POOL_2D":
        size, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
        # TensorFlow pools floats, in 32 bits: integers of 8 bits are exact there.
        values = taken[0].astype(np.float32)
        return [tf.nn.max_pool2d(values, size, strides, PADDINGS[options.padding]).numpy()]
    if kind == "SPLIT":
        axis = next(i for i, edge in enumerate(taken[0].shape) if edge != shapes[0][i])
        return np.split(taken[0], len(shapes), axis)
    return [taken[0].reshape(shapes[0])]
