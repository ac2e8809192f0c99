"""Adam and AdamW."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from typing_extensions import override

from bnn_keras.training.optimizers.base import Optimizer
from bnn_keras.training.schedules import Schedule


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980, algorithm 1), as in PyTorch.

    m = beta_1 m + (1 - beta_1) g, v = beta_2 v + (1 - beta_2) g², and the step is
    rate · m / (1 - beta_1^t) / (√(v / (1 - beta_2^t)) + epsilon): epsilon is added to the
    corrected root, whereas Keras's own Adam adds it to the uncorrected one. Weight decay is part of the
    gradient.

    Args:
        learning_rate, kwargs: as for `bnn_keras.training.optimizers.base.Optimizer`.
        beta_1, beta_2, epsilon: the defaults are the paper's values.
    """

    STEP_NUMBERS = ("rate", "corrected_rate", "corrected_epsilon")

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        name: str = "Adam",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name=name, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    @override
    def make_slots(self, var_list: Sequence[tf.Variable]) -> None:
        self.momentums = self.slots(var_list, "m")
        self.velocities = self.slots(var_list, "v")

    @override
    def step_numbers(self, t: tf.Tensor, rate: tf.Tensor) -> dict[str, tf.Tensor]:
        # tf.constant, because tf.cast would round the numbers to float32 first.
        first, second = (1 - tf.pow(tf.constant(b, tf.float64), t) for b in (self.beta_1, self.beta_2))
        root = tf.sqrt(second)
        return {"rate": rate, "corrected_rate": rate * root / first, "corrected_epsilon": self.epsilon * root}

    @override
    def step(self, gradient: tf.Tensor, variable: tf.Variable, index: int) -> None:
        # One pass over the weights instead of ten. The operation adds epsilon to the uncorrected root, so
        # it is given epsilon times the correction; rate and epsilon are corrected in float64.
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

    @override
    def get_config(self) -> dict:
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101).

    As in PyTorch, each weight is multiplied by 1 - rate · decay before Adam's step.

    Args:
        learning_rate, beta_1, beta_2, epsilon, kwargs: as for `Adam`.
    """

    DECOUPLED = True

    def __init__(self, learning_rate: float | Schedule = 0.001, name: str = "AdamW", **kwargs: Any) -> None:
        super().__init__(learning_rate, name=name, **kwargs)
