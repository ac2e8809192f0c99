"""Means over an image that a file computes from other means.

The mean of a sum is the sum of the means, and that of a BatchNorm is the BatchNorm of the mean. So where a
file computes the mean of a feature map from means of others, the layers in between are compared on these
means, as on images of one pixel.
"""

from collections.abc import Callable

import tensorflow as tf

from bnn_keras.nn import layers
from bnn_keras.nn.graph import Call, Graph, Value

K = tf.keras.layers
# Layers that are linear, or linear and a shift, in the values of each channel.
CHANNELWISE = (K.Add, K.BatchNormalization, K.Concatenate, layers.Bias)


class Means:
    """The means that a graph computes.

    Args:
        graph: of a model.
    """

    def __init__(self, graph: Graph) -> None:
        self._of = {call.inputs[0]: call.outputs[0] for call in graph.calls if is_mean(call)}
        self._producers = {value: call for call in graph.calls for value in call.outputs}

    def walk(
        self, value: Value, is_given: Callable[[Value], bool]
    ) -> tuple[set[Call], dict[Value, Value], list[Value]] | None:
        """How the mean of a value follows from means that are given.

        Args:
            value: a feature map.
            is_given: whether a tensor is given.

        Returns:
            The calls between the feature maps with given means and this one; these feature maps with their
            means; and the other tensors that the calls take, vectors of one pixel. None if it does not
            follow.
        """
        mean = self._of.get(value)
        if mean is not None and is_given(mean):
            return set(), {value: mean}, []
        call = self._producers.get(value)
        if call is None:
            return None
        vectors: list[Value] = []
        if type(call.layer) is K.Multiply:
            vectors = [one for one in call.inputs if tuple(one.shape[1:3]) == (1, 1)]
            if len(call.inputs) - len(vectors) != 1:
                return None
        elif not _is_channelwise(call):
            return None
        calls: set[Call] = {call}
        means: dict[Value, Value] = {}
        for one in call.inputs:
            if one not in vectors:
                found = self.walk(one, is_given)
                if found is None:
                    return None
                calls |= found[0]
                means |= found[1]
                vectors = vectors + found[2]
        return calls, means, vectors


def _is_channelwise(call: Call) -> bool:
    axis = getattr(call.layer, "axis", -1)  # a list in a BatchNorm
    of_channels = axis in (-1, 3) if isinstance(axis, int) else list(axis) == [3]
    return type(call.layer) in CHANNELWISE and of_channels


def is_mean(call: Call) -> bool:
    """Whether a layer computes the mean over the image, as an image of one pixel."""
    return type(call.layer) is K.GlobalAveragePooling2D and call.layer.keepdims
