"""The ends of paths that a training drops at random (drop path).

Source: FractalNet (https://arxiv.org/abs/1605.07648), section 3, in the form of BNAS's released code.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from typing_extensions import override

from bnn_keras.nn import bounds
from bnn_keras.nn.registration import register_ours

# For the name of a layer and its feature maps, [batch, ...]: what these are multiplied by, [batch, 1, 1, 1].
Factors = Callable[[str, tf.Tensor], tf.Tensor]


@register_ours(bound=bounds.moves, moves=True, passes_signs=True, vanishes=True, idle=True)
class DropPath(tf.keras.layers.Layer):
    """The end of a path: in training, its feature map is 0 for some of the images.

    The layer passes its input on outside of training, and in a training that drops no paths.

    Attributes:
        factors: from `bnn_keras.training.drop_path`; None drops nothing.
    """

    factors: Factors | None = None

    @override
    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        if self.factors is None or not training:
            return inputs
        return inputs * self.factors(self.name, inputs)


def ends_of_paths(network: tf.keras.Model) -> list[DropPath]:
    """The layers of a network that can drop a path, also those in nested models."""
    return [part for part in network.submodules if isinstance(part, DropPath)]
