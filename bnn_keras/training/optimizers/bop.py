"""Bop: binary kernels without latent weights."""

import larq as lq
import tensorflow as tf

from bnn_keras.training.optimizers.adam import Adam
from bnn_keras.training.optimizers.decay import is_binary_kernel


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class Bop(Adam):
    """Bop for the binary kernels, Adam for all other weights.

    Bop (Helwegen et al., 2019, https://arxiv.org/abs/1906.02107, algorithm 1) holds no latent weights:
    it flips a binary weight when the moving mean of its gradient passes a threshold with the weight's
    own sign. As in Larq, a weight that is not ±1 yet becomes so in its first step. Learning
    rate and weight decay are Adam's alone.

    Args:
        learning_rate, kwargs: as for `Adam`.
        threshold: of the mean gradient.
        gamma: weight of a new gradient in the mean; the adaptivity rate.
    """

    def __init__(
        self, learning_rate=0.001, threshold: float = 1e-8, gamma: float = 1e-4, name: str = "Bop", **kwargs
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.threshold, self.gamma = threshold, gamma

    def make_slots(self, var_list):
        super().make_slots(var_list)
        self._binary = tuple(is_binary_kernel(variable) for variable in var_list)

    def update_step(self, gradient, variable):
        index = self._index_dict[self._var_key(variable)]
        if not self._binary[index]:
            super().update_step(gradient, variable)
            return
        m = self.momentums[index]
        m.assign_add(self.gamma * (gradient - m))
        variable.assign(lq.math.sign(-tf.sign(variable * m - self.threshold) * variable))

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold, "gamma": self.gamma}
