"""What the optimizers share: weight decay by role, clipping, and numbers computed once a step."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from typing_extensions import override

from bnn_keras.training.optimizers.decay import Decay
from bnn_keras.training.schedules import Schedule

GradientsAndWeights = Iterable[tuple[tf.Tensor, tf.Variable]]


class Optimizer(tf.keras.optimizers.Optimizer):
    """Clips the whole gradient, applies each weight's decay, and moves each weight by one step.

    Subclasses name the numbers of a step in `STEP_NUMBERS`, compute them in `step_numbers`, create
    their slots in `make_slots`, and move a weight in `step`.

    Args:
        learning_rate: a number or a schedule.
        weight_decay, kernel_weight_decay, decay_groups: see `bnn_keras.training.optimizers.decay.Decay`.
        clip_norm: the largest norm of all gradients together; None or 0 for no limit. As in PyTorch's
            clip_grad_norm_, they are multiplied by clip_norm / (norm + 1e-6) if that is below 1. Of a
            kernel whose quantizer has a method `upstream`, the gradient that this gives counts for the norm.
        name: of the optimizer.
        kwargs: for `tf.keras.optimizers.Optimizer`.
    """

    STEP_NUMBERS: tuple[str, ...] = ("rate",)
    # True: a weight is multiplied by 1 - rate * decay before the step (AdamW). False: decay * weight is
    # added to its gradient, as the derivative of a penalty.
    DECOUPLED = False

    def __init__(
        self,
        learning_rate: float | Schedule,
        weight_decay: float = 0.0,
        kernel_weight_decay: float | None = None,
        decay_groups: str | None = None,
        clip_norm: float | None = None,
        name: str = "optimizer",
        **kwargs: Any,
    ) -> None:
        # None: Keras's own decay passes over every weight even if it is 0.
        super().__init__(name=name, weight_decay=None, **kwargs)
        # Keras offers subclasses no other way to set a learning rate that may be a schedule.
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.decay = Decay(weight_decay, kernel_weight_decay, decay_groups)
        self.clip_norm = clip_norm
        # Computed once a step and shared by all weights: computed in each update they double the graph.
        self._numbers = {
            number: tf.Variable(
                0.0,
                trainable=False,
                dtype=tf.float64,
                name=number,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            for number in self.STEP_NUMBERS
        }

    @override
    def build(self, var_list: Sequence[tf.Variable]) -> None:
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._built = True
        self._decays = tuple(self.decay.rate_of(variable) for variable in var_list)
        self.make_slots(var_list)

    @override
    def apply_gradients(
        self,
        grads_and_vars: GradientsAndWeights,
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
        **kwargs: Any,
    ) -> tf.Variable:
        # The older name of the same switch, which Keras's mixed precision still uses.
        if kwargs.pop("experimental_aggregate_gradients", True) and not skip_gradients_aggregation:
            grads_and_vars = self.aggregate_gradients(grads_and_vars)
        numbers = self.step_numbers(tf.cast(self.iterations + 1, tf.float64), self._rate())
        for key, number in numbers.items():
            self._numbers[key].assign(tf.cast(number, tf.float64))
        return super().apply_gradients(
            self._clipped(list(grads_and_vars)), name, skip_gradients_aggregation=True, **kwargs
        )

    def _rate(self) -> tf.Tensor:
        rate = self._learning_rate
        return tf.cast(rate(self.iterations) if callable(rate) else rate, tf.float64)

    def _clipped(self, grads_and_vars: list) -> list:
        if not self.clip_norm:
            return grads_and_vars
        grads_and_vars = [(g, v) for g, v in grads_and_vars if g is not None]
        gradients, variables = zip(*grads_and_vars, strict=True)
        halves = [tf.cast(tf.nn.l2_loss(_measured(g, v)), tf.float64) for g, v in grads_and_vars]
        factor = self.clip_norm / (tf.sqrt(2 * tf.add_n(halves)) + 1e-6)
        # Most steps need no clipping: the condition saves them a pass over the gradients.
        clipped = tf.cond(
            factor < 1,
            lambda: [g * tf.cast(factor, g.dtype) for g in gradients],
            lambda: list(gradients),
        )
        return list(zip(clipped, variables, strict=True))

    def step_numbers(self, t: tf.Tensor, rate: tf.Tensor) -> dict[str, tf.Tensor]:
        """The numbers of a step by name.

        Args:
            t: the number of the step, counted from 1; float64.
            rate: its learning rate, float64.
        """
        return {"rate": rate}

    def number(self, name: str, variable: tf.Variable) -> tf.Tensor:
        """A number of this step in the precision of a weight."""
        return tf.cast(self._numbers[name], variable.dtype)

    def make_slots(self, var_list: Sequence[tf.Variable]) -> None:
        """Create what is kept for each weight; called once."""

    @override
    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        index = self._index_dict[self._var_key(variable)]
        decay = self._decays[index]
        if decay and self.DECOUPLED:
            # With BNext's kernel decay, 1 - rate * decay is exactly 1 in float32: the pass is saved.
            if decay >= np.finfo(variable.dtype.as_numpy_dtype).epsneg / 2:
                variable.assign(variable * tf.cast(1 - self._numbers["rate"] * decay, variable.dtype))
        elif decay:
            gradient = gradient + decay * variable
        self.step(gradient, variable, index)

    def step(self, gradient: tf.Tensor, variable: tf.Variable, index: int) -> None:
        """Move a weight.

        Args:
            gradient: of the weight, clipped, and with its decay unless that is decoupled.
            variable: the weight.
            index: of its slots.
        """
        raise NotImplementedError

    def slots(self, var_list: Sequence[tf.Variable], name: str) -> list[tf.Variable]:
        """A variable of zeros for each weight."""
        return [self.add_variable_from_reference(variable, name) for variable in var_list]

    @override
    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "weight_decay": self.decay.rate,
            "kernel_weight_decay": self.decay.kernel_rate,
            "decay_groups": self.decay.groups,
            "clip_norm": self.clip_norm,
        }


def _measured(gradient: tf.Tensor, variable: tf.Variable) -> tf.Tensor:
    """The gradient that counts for the norm."""
    upstream = getattr(getattr(variable, "quantizer", None), "upstream", None)
    return (
        gradient if upstream is None else upstream(getattr(variable, "latent_variable", variable), gradient)
    )
