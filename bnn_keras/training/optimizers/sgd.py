"""Stochastic gradient descent with momentum."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from typing_extensions import Self, override

from bnn_keras.training.optimizers.base import Optimizer
from bnn_keras.training.schedules import Schedule


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class SGD(Optimizer):
    """Gradient descent with momentum, as in PyTorch: b = momentum · b + g, and the step is rate · b.

    Keras and MXNet accumulate rate · b instead, which differs for some steps after a change of the rate.
    Weight decay is part of the gradient.

    Args:
        learning_rate, kwargs: as for `bnn_keras.training.optimizers.base.Optimizer`.
        momentum: a number or a schedule of iterations.
        nesterov: the step is rate · (g + momentum · b).
    """

    STEP_NUMBERS = ("rate", "momentum")

    def __init__(
        self,
        learning_rate: float | Schedule = 0.1,
        momentum: float | Schedule = 0.9,
        nesterov: bool = False,
        name: str = "SGD",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name=name, **kwargs)
        self.momentum, self.nesterov = momentum, nesterov

    @override
    def make_slots(self, var_list: Sequence[tf.Variable]) -> None:
        self.buffers = self.slots(var_list, "momentum")

    @override
    def step_numbers(self, t: tf.Tensor, rate: tf.Tensor) -> dict[str, tf.Tensor]:
        if callable(self.momentum):
            momentum = self.momentum(self.iterations)
        else:
            momentum = tf.constant(self.momentum, tf.float64)
        return {"rate": rate, "momentum": momentum}

    @override
    def step(self, gradient: tf.Tensor, variable: tf.Variable, index: int) -> None:
        buffer, momentum = self.buffers[index], self.number("momentum", variable)
        buffer.assign(momentum * buffer + gradient)
        direction = gradient + momentum * buffer if self.nesterov else buffer
        variable.assign_sub(self.number("rate", variable) * direction)

    @override
    def get_config(self) -> dict:
        momentum = self.momentum
        if callable(momentum):
            momentum = tf.keras.optimizers.schedules.serialize(momentum)
        return {**super().get_config(), "momentum": momentum, "nesterov": self.nesterov}

    @override
    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Self:
        if isinstance(config["momentum"], dict):
            momentum = tf.keras.optimizers.schedules.deserialize(config["momentum"], custom_objects)
            config = {**config, "momentum": momentum}
        return super().from_config(config, custom_objects)
