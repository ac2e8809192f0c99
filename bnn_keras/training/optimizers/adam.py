"""Adam and AdamW."""

import tensorflow as tf

from bnn_keras.training.optimizers.base import Optimizer


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980, algorithm 1), as in PyTorch.

    m = beta_1 m + (1 - beta_1) g, v = beta_2 v + (1 - beta_2) g², and the step is
    rate · m / (1 - beta_1^t) / (√(v / (1 - beta_2^t)) + epsilon): epsilon stands beside the corrected
    root, where Keras's own Adam has it beside the other. Weight decay is part of the gradient.

    Args:
        learning_rate, kwargs: as for `bnn_keras.training.optimizers.base.Optimizer`.
        beta_1, beta_2, epsilon: the paper's values are the defaults.
    """

    STEP_NUMBERS = ("rate", "corrected_rate", "corrected_epsilon")

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
        root = tf.sqrt(second)
        return {"rate": rate, "corrected_rate": rate * root / first, "corrected_epsilon": self.epsilon * root}

    def step(self, gradient, variable, index):
        # One pass over the weights in place of ten. The operation adds epsilon to the root that is not
        # corrected, so it gets epsilon times the correction; and rate and epsilon corrected in float64.
        m, v = self.momentums[index], self.velocities[index]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=tf.zeros((), variable.dtype),
            beta2_power=tf.zeros((), variable.dtype),
            lr=self.number("corrected_rate", variable),
            beta1=tf.constant(self.beta_1, variable.dtype),
            beta2=tf.constant(self.beta_2, variable.dtype),
            epsilon=self.number("corrected_epsilon", variable),
            grad=gradient,
        )

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
