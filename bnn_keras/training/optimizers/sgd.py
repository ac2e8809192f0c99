"""Stochastic gradient descent with momentum."""

import tensorflow as tf

from bnn_keras.training.optimizers.base import Optimizer


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class SGD(Optimizer):
    """Gradient descent with momentum, as in PyTorch: b = momentum · b + g, and the step is rate · b.

    Keras and MXNet keep rate · b instead, which differs for some steps after the rate has changed.
    Weight decay is part of the gradient.

    Args:
        learning_rate, kwargs: as for `bnn_keras.training.optimizers.base.Optimizer`.
        momentum: a number or a schedule of iterations.
        nesterov: the step is rate · (g + momentum · b).
    """

    STEP_NUMBERS = ("rate", "momentum")

    def __init__(self, learning_rate=0.1, momentum=0.9, nesterov: bool = False, name: str = "SGD", **kwargs):
        super().__init__(learning_rate, name=name, **kwargs)
        self.momentum, self.nesterov = momentum, nesterov

    def make_slots(self, var_list):
        self.buffers = self.slots(var_list, "momentum")

    def step_numbers(self, t, rate):
        if callable(self.momentum):
            momentum = self.momentum(self.iterations)
        else:
            momentum = tf.constant(self.momentum, tf.float64)
        return {"rate": rate, "momentum": momentum}

    def step(self, gradient, variable, index):
        buffer, momentum = self.buffers[index], self.number("momentum", variable)
        buffer.assign(momentum * buffer + gradient)
        direction = gradient + momentum * buffer if self.nesterov else buffer
        variable.assign_sub(self.number("rate", variable) * direction)

    def get_config(self):
        momentum = self.momentum
        if callable(momentum):
            momentum = tf.keras.optimizers.schedules.serialize(momentum)
        return {**super().get_config(), "momentum": momentum, "nesterov": self.nesterov}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        if isinstance(config["momentum"], dict):
            momentum = tf.keras.optimizers.schedules.deserialize(config["momentum"], custom_objects)
            config = {**config, "momentum": momentum}
        return super().from_config(config, custom_objects)
