"""Rectified Adam, as MeliusNet's released code has it and as its own paper."""

import tensorflow as tf

from bnn_keras.training.optimizers.base import Optimizer


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class RAdam(Optimizer):
    """Rectified Adam (Liu et al., 2020, https://arxiv.org/abs/1908.03265, algorithm 2).

    With N_sma the length of the approximated simple moving average, a step is the rectified Adam
    step where N_sma is above a threshold, and a step along the bias-corrected momentum, without the
    denominator, before. Epsilon is added to the root of the second moment as it is, not
    bias-corrected: so do the authors of RAdam and the released code of MeliusNet. Weight decay is
    decoupled, as in the authors' code.

    Args:
        learning_rate, kwargs: as for `bnn_keras.training.optimizers.base.Optimizer`.
        beta_1, beta_2, epsilon: MeliusNet's values are the defaults.
        rectified_above: the threshold of N_sma. Algorithm 2 has 4, its authors' code, PyTorch and the
            released code of MeliusNet 5; with beta_2 = 0.999 the two differ in the fifth step only.
    """

    STEP_NUMBERS = ("rate", "factor", "rectified")
    DECOUPLED = True

    def __init__(
        self,
        learning_rate=0.002,
        beta_1: float = 0.95,
        beta_2: float = 0.999,
        epsilon: float = 1e-5,
        rectified_above: float = 5.0,
        name: str = "RAdam",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.rectified_above = rectified_above

    def make_slots(self, var_list):
        self.momentums = self.slots(var_list, "m")
        self.velocities = self.slots(var_list, "v")

    def step_numbers(self, t, rate):
        # In float32 N_sma would be the difference of two numbers near 2000, off by 0.02.
        power = tf.pow(tf.constant(self.beta_2, tf.float64), t)
        longest = 2 / (1 - self.beta_2) - 1
        n_sma = longest - 2 * t * power / (1 - power)
        rectified = n_sma > self.rectified_above
        # The root is not real where N_sma is below 4; the value is not used there.
        n = tf.maximum(n_sma, self.rectified_above)
        root = tf.sqrt((1 - power) * (n - 4) / (longest - 4) * (n - 2) / n * longest / (longest - 2))
        correction = 1 - tf.pow(tf.constant(self.beta_1, tf.float64), t)
        factor = rate * tf.where(rectified, root, 1.0) / correction
        return {"rate": rate, "factor": factor, "rectified": rectified}

    def step(self, gradient, variable, index):
        m, v = self.momentums[index], self.velocities[index]
        m.assign_add((1 - self.beta_1) * (gradient - m))
        v.assign_add((1 - self.beta_2) * (tf.square(gradient) - v))
        rectified = self.number("rectified", variable) > 0
        denominator = tf.where(rectified, tf.sqrt(v) + self.epsilon, 1.0)
        variable.assign_sub(self.number("factor", variable) * m / denominator)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "rectified_above": self.rectified_above,
        }
