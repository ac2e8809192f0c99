"""Whether a file's constants weigh what the accounting says.

The accounting counts a network as its paper does; a file stores it in LCE's way. What lies between is
known for each layer and is listed: whole words of 32 input channels, a BatchNorm folded into the
32-bit convolution before it (one value a channel instead of two), values that are all 0 and vanish.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from bnn_keras import accounting
from bnn_keras.deploy.conversion import borders
from bnn_keras.nn import graph as graphs
from bnn_keras.nn import layers
from bnn_keras.tflite.flatbuffer import BCONV, WORD, Flatbuffer

keras = tf.keras.layers
TOLERANCE = 0.005
SLACK = 64  # bytes; in the smallest networks a few numbers are more than the tolerance
FLOAT = 4  # bytes


@dataclasses.dataclass(frozen=True)
class Constants:
    """The bytes of a file.

    Args:
        accounted: what `bnn_keras.accounting` says.
        adjustments: what LCE stores differently, by its reason.
        stored: weights in the file.
        metadata: everything else in it: names, structure, shapes.
    """

    accounted: int
    adjustments: dict[str, int]
    stored: int
    metadata: int

    @property
    def expected(self) -> int:
        return self.accounted + sum(self.adjustments.values())

    @property
    def deviation(self) -> float:
        """Stored against expected, as a share."""
        return self.stored / self.expected - 1

    @property
    def problem(self) -> str:
        if abs(self.stored - self.expected) <= max(TOLERANCE * self.expected, SLACK):
            return ""
        return (
            f"The file holds {self.stored:,} bytes of weights where {self.expected:,} are accounted for "
            f"({self.deviation:+.2%}, allowed {TOLERANCE:.1%})"
        )


def count(model: tf.keras.Model, graph: graphs.Graph, flatbuffer: Flatbuffer, size: int) -> Constants:
    """Compare a file's constants with the accounting of its model.

    Args:
        size: of the whole file, in bytes.
    """
    accounted = math.ceil(sum(row.bits for row in accounting.profile(model).rows) / 8)
    stored = _stored(flatbuffer)
    adjustments = {
        "whole words of 32 input channels": _padding(graph, flatbuffer),
        "BatchNorm folded into a 32-bit convolution": -FLOAT * _folded(graph),
        "values that are all 0": -FLOAT * _zeros(graph),
        "equal constants, stored once": -FLOAT * _repeated(graph),
        "thresholds in place of scale and shift": -FLOAT * _thresholds(flatbuffer),
        "borders of images smaller than their kernel": FLOAT * borders.constants(graph),
        "normalization": FLOAT * _normalization(graph),
    }
    return Constants(accounted, {why: n for why, n in adjustments.items() if n}, stored, size - stored)


def _stored(flatbuffer: Flatbuffer) -> int:
    total = 0
    for index, op, place in flatbuffer.constants():
        values = flatbuffer.constant(index)
        if op.name == BCONV and place == 2 and (values == 1).all():
            continue  # LCE gives every binary convolution a scale, wanted or not
        if (op.name == BCONV or values.dtype == np.float32) and values.any():
            total += values.nbytes
    return total


def _layers(graph: graphs.Graph) -> list[tf.keras.layers.Layer]:
    return list({id(call.layer): call.layer for call in graph.calls}.values())


def _padding(graph: graphs.Graph, flatbuffer: Flatbuffer) -> int:
    packed: int = sum(flatbuffer.constant(op.inputs[1]).nbytes for op in flatbuffer.ops if op.name == BCONV)
    kernels = [
        layer.kernel.shape
        for layer in _layers(graph)
        if isinstance(layer, keras.Conv2D) and getattr(layer.kernel, "precision", None) == 1
    ]
    binary = sum(math.prod(kernel) for kernel in kernels)
    # Only whole words: a kernel that is missing altogether is no padding.
    spare = sum(-kernel[2] % WORD * math.prod(kernel[:2]) * kernel[3] for kernel in kernels)
    return min(packed - binary // 8, math.ceil(spare / 8)) if packed else 0


def _folded(graph: graphs.Graph) -> int:
    """Channels whose scale goes into the kernel of a convolution and leaves a shift only."""
    channels = 0
    for call in graph.calls:
        if isinstance(call.layer, keras.BatchNormalization):
            before = graph.producer(call.inputs[0])
            if (
                before is not None
                and _takes_a_scale(before.layer)
                and len(graph.consumers(call.inputs[0])) == 1
            ):
                # With a bias of the convolution's own there is one value less still.
                channels += call.inputs[0].shape[-1] * (1 + before.layer.use_bias)
    return channels


def _takes_a_scale(layer: tf.keras.layers.Layer) -> bool:
    return (
        isinstance(layer, (keras.Conv2D, keras.DepthwiseConv2D, keras.Dense))
        and not isinstance(layer, layers.GroupedConv2D)
        and getattr(layer, "kernel_quantizer", None) is None
        and tf.keras.activations.serialize(layer.activation) == "linear"
    )


def _zeros(graph: graphs.Graph) -> int:
    """Shifts and biases that are 0 in every channel; a fresh model has many."""
    channels = 0
    for layer in _layers(graph):
        if isinstance(layer, keras.BatchNormalization):
            scale = layer.gamma.numpy() if layer.scale else 1.0
            beta = layer.beta.numpy() if layer.center else 0.0
            scale = scale / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
            shift = beta - layer.moving_mean.numpy() * scale
            channels += 0 if np.any(shift) else layer.moving_mean.shape[0]
        elif isinstance(layer, layers.Bias):
            channels += 0 if np.any(layer.bias.numpy()) else layer.bias.shape[-1]
        elif getattr(layer, "use_bias", False) and not np.any(layer.bias.numpy()):
            channels += layer.bias.shape[0]
    return channels


def _repeated(graph: graphs.Graph) -> int:
    """Numbers of vectors that another layer has too: a fresh model has many."""
    kept: set[bytes] = set()
    repeated = 0
    for values in filter(np.any, _vectors(graph)):
        repeated += values.size if values.tobytes() in kept else 0
        kept.add(values.tobytes())
    return repeated


def _vectors(graph: graphs.Graph) -> Iterator[np.ndarray]:
    """What is stored as it is, a number a channel."""
    kinds = ((keras.PReLU, "alpha"), (layers.Mix, "share"), (layers.Bias, "bias"))
    for layer in _layers(graph):
        yield from (getattr(layer, name).numpy() for kind, name in kinds if isinstance(layer, kind))
    for call in graph.calls:
        if isinstance(call.layer, keras.BatchNormalization):
            before = graph.producer(call.inputs[0])
            if before is None or not _takes_a_scale(before.layer):
                gamma = call.layer.gamma.numpy() if call.layer.scale else 1.0
                yield gamma / np.sqrt(call.layer.moving_variance.numpy() + call.layer.epsilon)


def _thresholds(flatbuffer: Flatbuffer) -> int:
    """Channels of binary convolutions that give signs at once."""
    return sum(
        flatbuffer.shape(op.inputs[1])[0]
        for op in flatbuffer.ops
        if op.name == BCONV and len(op.inputs) > 4 and op.inputs[4] >= 0
    )


def _normalization(graph: graphs.Graph) -> int:
    return sum(2 * len(layer.mean) for layer in _layers(graph) if isinstance(layer, layers.Normalize))
