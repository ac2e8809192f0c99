"""Layers of a network that computes every operation of a search space (DARTS, section 2.2).

`Scores` has a number for each operation on each edge, `Mixture` the sum of the operations' outputs, each
times the softmax of its score.

Source: Liu, Simonyan, Yang, 2019 (https://arxiv.org/abs/1806.09055), equation 2.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from typing_extensions import override

from bnn_keras.nn.registration import register_ours

DEVIATION = 1e-3  # of the scores at first


@register_ours(elementwise=True)
class Scores(tf.keras.layers.Layer):
    """The softmax of trained scores over the operations, [edges, operations]; its input is not used.

    The scores are no trainable weights, because another optimizer than that of the weights updates them.

    Args:
        edges, operations: their numbers.
    """

    def __init__(self, edges: int, operations: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.edges, self.operations = edges, operations

    @override
    def build(self, input_shape: Any) -> None:
        self.scores = self.add_weight(
            "scores",
            (self.edges, self.operations),
            initializer=tf.keras.initializers.RandomNormal(stddev=DEVIATION),
            trainable=False,
        )
        super().build(input_shape)

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(self.scores)

    @override
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "edges": self.edges, "operations": self.operations}


@register_ours(elementwise=True)
class Mixture(tf.keras.layers.Layer):
    """Weighted sums of the outputs of operations, one for each of several edges that leave a node.

    The inputs are the weights, [edges, operations], and the output of each operation, [batch, height, width,
    n * channels]: n is the number of these edges, or 1 if the operation gives the same on all of them. The
    results are a feature map for each edge, [batch, height, width, channels].

    Args:
        edges: rows of the weights.
        operations: columns of the weights, one for each operation that has an output.
        channels: of a result.
    """

    def __init__(self, edges: Sequence[int], operations: Sequence[int], channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.edges, self.operations = list(edges), list(operations)
        self.channels = channels

    @override
    def call(self, inputs: tuple[tf.Tensor, ...]) -> list[tf.Tensor]:
        weights, *outputs = inputs
        own = tf.gather(weights, self.edges)
        height, width = outputs[0].shape[1:3]
        parts = [
            tf.reshape(output, [-1, height, width, output.shape[-1] // self.channels, self.channels])
            for output in outputs
        ]
        terms = [part * own[:, column, None] for part, column in zip(parts, self.operations, strict=True)]
        return tf.unstack(tf.add_n(terms), axis=3)

    @override
    def get_config(self) -> dict[str, Any]:
        own = {"edges": self.edges, "operations": self.operations, "channels": self.channels}
        return {**super().get_config(), **own}
