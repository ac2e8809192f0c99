"""Bop: binary kernels without latent weights."""

from collections.abc import Sequence
from typing import Any

import larq as lq
import tensorflow as tf
from typing_extensions import override

from bnn_keras.training.optimizers.adam import Adam
from bnn_keras.training.optimizers.decay import is_binary_kernel
from bnn_keras.training.schedules import Schedule


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class Bop(Adam):
    """Bop for the binary kernels, Adam for all other weights.

    Bop (Helwegen et al., 2019, https://arxiv.org/abs/1906.02107, algorithm 1) keeps no latent weights:
    it flips a binary weight when the moving average of its gradient has the weight's own sign and
    exceeds a threshold. As in Larq, a weight that is not yet ±1 becomes so in its first step. Learning
    rate and weight decay apply to Adam's weights only.

    The rule is that of `larq.optimizers.Bop`, to the bit; Larq's class cannot be used because it and
    `CaseOptimizer` accept legacy Keras optimizers only, which excludes this package's Adam with its
    decay groups, clipping and float64 schedules.

    Args:
        learning_rate, kwargs: as for `Adam`.
        threshold: of the average gradient.
        gamma: weight of a new gradient in the average; the adaptivity rate.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        threshold: float = 1e-8,
        gamma: float = 1e-4,
        name: str = "Bop",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name=name, **kwargs)
        self.threshold, self.gamma = threshold, gamma

    @override
    def make_slots(self, var_list: Sequence[tf.Variable]) -> None:
        super().make_slots(var_list)
        self._binary = tuple(is_binary_kernel(variable) for variable in var_list)

    @override
    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        index = self._index_dict[self._var_key(variable)]
        if not self._binary[index]:
            super().update_step(gradient, variable)
            return
        m = self.momentums[index]
        m.assign_add(self.gamma * (gradient - m))
        variable.assign(lq.math.sign(-tf.sign(variable * m - self.threshold) * variable))

    @override
    def get_config(self) -> dict:
        return {**super().get_config(), "threshold": self.threshold, "gamma": self.gamma}
