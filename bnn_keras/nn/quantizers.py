"""Sign quantizers with a straight-through gradient (MeliusNet, section 3.3; BNext, section 5.1).

All give +1 at 0. Quantizers that are signs from the start are Larq's `SteSign`, which is registered with
Keras, is saved without code and is recognised by the Larq Compute Engine. `ProgressiveSign` becomes a
sign while it is trained.
"""

from typing import Any

import larq as lq
import tensorflow as tf
from typing_extensions import override

from bnn_keras.nn.registration import register_ours
from bnn_keras.nn.traits import TorchWeight

HARD_BELOW = 1e-7  # temperature
SMALLEST_TEMPERATURE = 1e-8  # that a kernel is divided by


def activation_sign(clip: float = 1.0) -> lq.quantizers.SteSign:
    """Sign of the activations; the gradient is passed where |x| <= `clip`."""
    return lq.quantizers.SteSign(clip_value=clip)


def kernel_sign(clip: float | None = None) -> lq.quantizers.SteSign:
    """Sign of a kernel.

    Args:
        clip: None passes the whole gradient, as the released code does; a number cuts it where
            |w| > `clip`, the other reading of equation 3.
    """
    return lq.quantizers.SteSign(clip_value=clip)


def kernel_constraint(clip: float | None = None) -> tf.keras.constraints.Constraint | None:
    """The constraint that goes with `kernel_sign(clip)`: a cut gradient needs clipped weights."""
    return None if clip is None else Clip(-clip, clip)


def clip(values: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Values cut at both ends, in one pass (`tf.clip_by_value` makes two)."""
    least, largest = (tf.constant(end, values.dtype) for end in (low, high))
    return tf.raw_ops.ClipByValue(t=values, clip_value_min=least, clip_value_max=largest)


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class Clip(tf.keras.constraints.Constraint):
    """Keeps weights between two values.

    Args:
        low, high: the values.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    @override
    def __call__(self, w: tf.Tensor) -> tf.Tensor:
        return clip(tf.convert_to_tensor(w), self.low, self.high)

    @override
    def get_config(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}


@register_ours(torch={"temperature": TorchWeight("temperature")})
class ProgressiveSign(lq.quantizers.Quantizer):
    """clip(w / T, -1, 1), and sign(w) once the temperature T is low; the gradient passes as it is.

    T is a weight of the quantizer that is not trained. It is 1 in a new network, is lowered after every epoch
    by `bnn_keras.training.callbacks.Temperature`, and is saved with the model.

    Source: BNext, section 5.1 (progressive weight binarization); the threshold from the released code.

    Args:
        hard_below: the temperature below which it is a sign.
    """

    precision = 1

    def __init__(self, hard_below: float = HARD_BELOW, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hard_below = hard_below

    @override
    def build(self, input_shape: Any) -> None:
        self.temperature = self.add_weight("temperature", (), initializer="ones", trainable=False)
        super().build(input_shape)

    @property
    def is_hard(self) -> bool:
        """Whether it is a sign by now."""
        return bool(self.temperature < self.hard_below)

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        temperature = tf.convert_to_tensor(self.temperature)

        def quantize(w: tf.Tensor) -> tf.Tensor:
            return tf.cond(
                temperature < self.hard_below,
                lambda: lq.math.sign(w),
                lambda: clip(w / tf.maximum(temperature, SMALLEST_TEMPERATURE), -1, 1),
            )

        return tf.grad_pass_through(quantize)(inputs)

    @override
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hard_below": self.hard_below}


def progressive(model: tf.keras.Model) -> list[ProgressiveSign]:
    """The progressive quantizers of a model, in the order of its layers."""
    return [part for part in model.submodules if isinstance(part, ProgressiveSign)]
