"""Rectified Adam, as in its own paper and as in MeliusNet's released code."""

from typing import Any

import tensorflow as tf
from typing_extensions import override

from bnn_keras.training.optimizers.adam import Adam
from bnn_keras.training.schedules import Schedule


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class RAdam(Adam):
    """Rectified Adam (Liu et al., 2020, https://arxiv.org/abs/1908.03265, algorithm 2).

    N_sma is the length of the approximated simple moving average. Once it is above a threshold, a
    step is the rectified Adam step; before, it follows the bias-corrected momentum without the
    denominator. Epsilon is added to the uncorrected root of the second moment, as in the code of
    RAdam's authors and in MeliusNet's released code. Weight decay is decoupled, as in the authors'
    code.

    Args:
        learning_rate, kwargs: as for `bnn_keras.training.optimizers.base.Optimizer`.
        beta_1, beta_2, epsilon: the defaults are MeliusNet's values.
        rectified_above: the threshold of N_sma. It is 4 in algorithm 2, and 5 in its authors' code,
            PyTorch and MeliusNet's released code; with beta_2 = 0.999 only the fifth step differs.
    """

    STEP_NUMBERS = ("rate", "factor", "rectified")
    DECOUPLED = True

    def __init__(
        self,
        learning_rate: float | Schedule = 0.002,
        beta_1: float = 0.95,
        beta_2: float = 0.999,
        epsilon: float = 1e-5,
        rectified_above: float = 5.0,
        name: str = "RAdam",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name, **kwargs)
        self.rectified_above = rectified_above

    @override
    def step_numbers(self, t: tf.Tensor, rate: tf.Tensor) -> dict[str, tf.Tensor]:
        # In float32, N_sma would be off by 0.02, as the difference of two numbers near 2000.
        power = tf.pow(tf.constant(self.beta_2, tf.float64), t)
        longest = 2 / (1 - self.beta_2) - 1
        n_sma = longest - 2 * t * power / (1 - power)
        rectified = n_sma > self.rectified_above
        # Below 4 the root is not real, and its value is not used.
        n = tf.maximum(n_sma, self.rectified_above)
        root = tf.sqrt((1 - power) * (n - 4) / (longest - 4) * (n - 2) / n * longest / (longest - 2))
        correction = 1 - tf.pow(tf.constant(self.beta_1, tf.float64), t)
        factor = rate * tf.where(rectified, root, 1.0) / correction
        return {"rate": rate, "factor": factor, "rectified": rectified}

    @override
    def step(self, gradient: tf.Tensor, variable: tf.Variable, index: int) -> None:
        m, v = self.momentums[index], self.velocities[index]
        m.assign_add((1 - self.beta_1) * (gradient - m))
        v.assign_add((1 - self.beta_2) * (tf.square(gradient) - v))
        rectified = self.number("rectified", variable) > 0
        denominator = tf.where(rectified, tf.sqrt(v) + self.epsilon, 1.0)
        variable.assign_sub(self.number("factor", variable) * m / denominator)

    @override
    def get_config(self) -> dict:
        return {**super().get_config(), "rectified_above": self.rectified_above}
