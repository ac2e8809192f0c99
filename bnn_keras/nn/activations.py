"""What activations round off, and how far they carry a difference of their input.

Where TFLite approximates a function, its error is measured: the kernels of LCE's interpreter against
float64 on 200,000 inputs, evenly spaced in [-20, 20], normal, and log-uniform from 1e-9 to 90. The largest
errors found, in units of 2^-24:

| function | kernels | measured |
|---|---|---|
| elu | ELU | 1.4 of the result |
| gelu | GELU | 1.7 of the input, with tanh 3.3 |
| hard_sigmoid | MUL, ADD, MINIMUM, RELU | 0.8 |
| hard swish | HARD_SWISH | 1.6 of the input |
| mish | EXP, ADD, LOG, TANH, MUL | 4.2 of the input |
| selu | EXP, SUB, MUL, SELECT | 1.8 below 0, 2 of the result above |
| sigmoid | LOGISTIC | 1.6 |
| softplus | ABS, NEG, EXP, ADD, LOG, RELU, ADD | 1 of the result, and 2 |
| swish | LOGISTIC, MUL | 1.9 of the input |
| tanh | TANH | 5.3 of the result |

`FUNCTIONS` allows at least twice as much. tests/nn/test_activations.py repeats the measurement.
"""

import dataclasses
from typing import Any

import tensorflow as tf

from bnn_keras.nn.intervals import TRANSCENDENTAL, UNIT, Interval


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of each element.

    Args:
        of_result, of_input, absolute: its error in units of 2^-24: of the absolute value of the result, of
            that of the input, and besides these.
        steepest: the largest absolute value of its derivative; None for a function that never falls, for
            which the ends of the interval say more.
    """

    of_result: float = 0
    of_input: float = 0
    absolute: float = 0
    steepest: float | None = None


# Without an entry: exponential, which is an EXP.
EXPONENTIAL = Function(of_result=TRANSCENDENTAL / UNIT)
# The derivatives' largest values: of x * Phi(x) at sqrt(2), the others found numerically; rounded up.
FUNCTIONS = {
    "linear": Function(),
    "relu": Function(),
    "relu6": Function(),
    "elu": Function(of_result=4),
    "exponential": EXPONENTIAL,
    "gelu": Function(of_input=8, steepest=1.13),
    "hard_sigmoid": Function(absolute=4),
    "leaky_relu": Function(of_result=4),
    "mish": Function(of_input=16, steepest=1.09),
    "selu": Function(of_result=4, absolute=8),
    "sigmoid": Function(absolute=4),
    "silu": Function(of_input=4, steepest=1.1),
    "softplus": Function(of_result=4, absolute=8),
    # The quotient x / (1 + |x|).
    "softsign": Function(of_result=4),
    "swish": Function(of_input=4, steepest=1.1),
    "tanh": Function(of_result=16),
}


def name_of(activation: Any) -> str:
    """The name of an activation, such as "relu"; that of the class for a layer."""
    if isinstance(activation, tf.keras.layers.Layer):
        return type(activation).__name__
    name = tf.keras.activations.serialize(activation)
    return name if isinstance(name, str) else getattr(activation, "__name__", type(activation).__name__)


def radius(function: Function, interval: Interval, low: Any, center: Any, high: Any) -> tf.Tensor:
    """The radius of a function of an interval.

    Args:
        function: its properties.
        interval: its argument.
        low, center, high: its values at the lower end, the center and the upper end.
    """
    if function.steepest is None:
        spread = tf.maximum(tf.abs(low - center), tf.abs(high - center))
    else:
        spread = function.steepest * interval.radius
    error = function.of_result * (tf.abs(center) + spread) + function.of_input * interval.magnitude
    return spread + UNIT * (error + function.absolute)


def softmax(interval: Interval, center: tf.Tensor, axis: int = -1) -> tf.Tensor:
    """The radius of softmax over one axis."""
    # d softmax_i = softmax_i (d x_i - sum softmax_j d x_j), at most twice the largest radius.
    largest = tf.reduce_max(interval.radius, axis=axis, keepdims=True)
    return (tf.math.expm1(2 * largest) + TRANSCENDENTAL) * center + UNIT
