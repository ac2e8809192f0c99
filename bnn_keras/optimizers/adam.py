"""Adam and AdamW."""

import tensorflow as tf

from bnn_keras.optimizers.base import Optimizer


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980, algorithm 1), as in PyTorch.

    m = beta_1 m + (1 - beta_1) g, v = beta_2 v + (1 - beta_2) g², and the step is
    rate · m / (1 - beta_1^t) / (√(v / (1 - beta_2^t)) + epsilon): epsilon stands beside the corrected
    root, where Keras's own Adam has it beside the other. Weight decay is part of the gradient.

    Args:
        learning_rate, kwargs: as for `bnn_keras.optimizers.base.Optimizer`.
        beta_1, beta_2, epsilon: the paper's values are the defaults.
    """

    STEP_NUMBERS = ("rate", "corrected_rate", "root_correction")

    def __init__(
        self,
        learning_rate=0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        name: str = "Adam",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def make_slots(self, var_list):
        self.momentums = self.slots(var_list, "m")
        self.velocities = self.slots(var_list, "v")

    def step_numbers(self, t, rate):
        # Not tf.cast, which would round the numbers to float32 on their way.
        first, second = (1 - tf.pow(tf.constant(b, tf.float64), t) for b in (self.beta_1, self.beta_2))
        return {"rate": rate, "corrected_rate": rate / first, "root_correction": tf.sqrt(second)}

    def step(self, gradient, variable, index):
        m, v = self.momentums[index], self.velocities[index]
        m.assign_add((1 - self.beta_1) * (gradient - m))
        v.assign(self.beta_2 * v + (1 - self.beta_2) * tf.square(gradient))
        root = tf.sqrt(v) / self.number("root_correction", variable)
        return self.number("corrected_rate", variable) * m / (root + self.epsilon)

    def get_config(self):
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101).

    As in PyTorch: each weight is multiplied by 1 - rate · decay before Adam's step.

    Args:
        learning_rate, beta_1, beta_2, epsilon, kwargs: as for `Adam`.
    """

    DECOUPLED = True

    def __init__(self, learning_rate=0.001, name: str = "AdamW", **kwargs):
        super().__init__(learning_rate, name=name, **kwargs)
