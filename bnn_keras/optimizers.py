"""The optimizers of the recipes, by name; RAdam is ours, as Keras has none."""

import tensorflow as tf

from bnn_keras.errors import one_of


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class RAdam(tf.keras.optimizers.Optimizer):
    """Rectified Adam (Liu et al., 2020, https://arxiv.org/abs/1908.03265, algorithm 2).

    With N_sma the length of the approximated simple moving average, a step is the rectified Adam
    step where N_sma > 5, and a step along the bias-corrected momentum, without the denominator,
    before. Epsilon is added to the root of the second moment as it is, not bias-corrected: so do
    the authors of RAdam and the released code of MeliusNet.

    Args:
        learning_rate: a number or a schedule.
        beta_1, beta_2, epsilon: MeliusNet's values are the defaults.
    """

    def __init__(
        self,
        learning_rate=0.002,
        beta_1: float = 0.95,
        beta_2: float = 0.999,
        epsilon: float = 1e-5,
        name: str = "RAdam",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        # Keras gives subclasses no other way to a learning rate that may be a schedule.
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

        # One value a step, shared by all weights: computed in each update it doubles the graph.
        self._factor = self._step_variable(0.0, "factor")
        self._rectified = self._step_variable(False, "rectified")

    def _step_variable(self, value, name: str) -> tf.Variable:
        return tf.Variable(
            value, trainable=False, name=name, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )

    def build(self, var_list):
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._built = True
        self.momentums = [self.add_variable_from_reference(v, "m") for v in var_list]
        self.velocities = [self.add_variable_from_reference(v, "v") for v in var_list]

    def apply_gradients(self, grads_and_vars, name=None, **kwargs):
        self._rectify()
        return super().apply_gradients(grads_and_vars, name, **kwargs)

    def _rectify(self) -> None:
        # In float32 N_sma would be the difference of two numbers near 2000, off by 0.02.
        t = tf.cast(self.iterations + 1, tf.float64)
        power = tf.pow(tf.constant(self.beta_2, tf.float64), t)
        longest = 2 / (1 - self.beta_2) - 1
        n_sma = longest - 2 * t * power / (1 - power)
        self._rectified.assign(n_sma > 5)
        # The root is not real before; the value is not used there.
        n = tf.maximum(n_sma, 5.0)
        root = tf.sqrt((1 - power) * (n - 4) / (longest - 4) * (n - 2) / n * longest / (longest - 2))
        correction = 1 - tf.pow(tf.constant(self.beta_1, tf.float64), t)
        self._factor.assign(tf.cast(tf.where(n_sma > 5, root, 1.0) / correction, tf.float32))

    def update_step(self, gradient, variable):
        index = self._index_dict[self._var_key(variable)]
        m, v = self.momentums[index], self.velocities[index]
        m.assign_add((1 - self.beta_1) * (gradient - m))
        v.assign_add((1 - self.beta_2) * (tf.square(gradient) - v))
        rate = tf.cast(self._factor * self.learning_rate, variable.dtype)
        denominator = tf.where(self._rectified, tf.sqrt(v) + self.epsilon, 1.0)
        variable.assign_sub(rate * m / denominator)

    def get_config(self):
        return {
            **super().get_config(),
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


OPTIMIZERS = {
    "radam": RAdam,
    "adam": tf.keras.optimizers.Adam,
    "sgd": lambda learning_rate: tf.keras.optimizers.SGD(learning_rate, momentum=0.9),
}


def check(name: str) -> None:
    """Raise UserError if `get` does not know the name."""
    if name not in OPTIMIZERS:
        raise one_of("optimizer", name, sorted(OPTIMIZERS))


def get(name: str, learning_rate) -> tf.keras.optimizers.Optimizer:
    """A new optimizer.

    Args:
        name: "radam" (MeliusNet's settings), "adam" (Keras's) or "sgd" (momentum 0.9).
        learning_rate: a number or a schedule.

    Raises:
        UserError: an unknown name.
    """
    check(name)
    return OPTIMIZERS[name](learning_rate)
