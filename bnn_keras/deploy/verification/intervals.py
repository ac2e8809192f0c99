"""How far rounding may carry a file's values from its model's: ball arithmetic.

A ball is what a layer gives in float64 and a bound on how far any float32 computation of it can lie
from that. The centre is computed by the layer's own code, rebuilt in float64. The bound starts at 0
where the file's own value is put in, grows by what float32 rounds off in each layer (n terms summed
in any order: n units of 2^-24 of the sum of their magnitudes; Higham, Accuracy and Stability of
Numerical Algorithms, section 3.1), and is carried on by the layer: through a convolution by the
magnitudes of its kernel, through a sign as the whole step where the ball reaches over zero.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import larq as lq
import numpy as np
import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn import layers

UNIT = 2.0**-24  # half the distance from 1 to the next float32
# Roundings besides those of a sum's terms: constants folded and stored, a scale, a shift.
SPARE = 8
# What TFLite's approximations of exp and its kin may add to the rounding of the result.
TRANSCENDENTAL = 64 * UNIT

keras = tf.keras.layers


@dataclasses.dataclass(frozen=True)
class Ball:
    """A tensor in float64, and how far a float32 computation of it may lie from it."""

    center: tf.Tensor
    radius: tf.Tensor

    @classmethod
    def exact(cls, values: Any) -> "Ball":
        """A ball of radius 0."""
        center = tf.convert_to_tensor(values, tf.float64)
        return cls(center, tf.zeros_like(center))

    @property
    def magnitude(self) -> tf.Tensor:
        """The largest absolute value in it."""
        return tf.abs(self.center) + self.radius


class Layer64:
    """A layer rebuilt in float64 with the same weights, which maps balls to a ball.

    Args:
        layer: a built Keras layer.

    Raises:
        UserError: no bound is known for layers of its type.
    """

    def __init__(self, layer: tf.keras.layers.Layer):
        self.name = layer.name
        self.radius = _rule(layer)
        self.twin = layer if _is_op(layer) else rebuild(layer)

    def __call__(self, args: Any, kwargs: Any) -> tuple[Ball, ...]:
        """What the layer gives for arguments that hold balls."""
        balls = [leaf for leaf in tf.nest.flatten((args, kwargs)) if isinstance(leaf, Ball)]

        def apply(function: Callable, part: Callable[[Ball], tf.Tensor]) -> list[tf.Tensor]:
            filled, named = tf.nest.map_structure(
                lambda leaf: part(leaf) if isinstance(leaf, Ball) else leaf, (args, kwargs)
            )
            return tf.nest.flatten(function(*filled, **named))

        centers = apply(self.twin, lambda ball: ball.center)
        radii = self.radius(self.twin, balls, centers, apply)
        return tuple(Ball(center, radius) for center, radius in zip(centers, radii, strict=True))


def rebuild(layer: tf.keras.layers.Layer, input_shape: Any = None, **changes: Any) -> tf.keras.layers.Layer:
    """A copy of a layer in float64 with its weights, its quantizers kept.

    Args:
        input_shape: for a layer that no model has called.
        changes: configuration in place of the layer's own; quantizers that are given are taken as
            they are.
    """
    config = _in_float64(layer.get_config())
    quantizers = {key: config.pop(key) for key in list(config) if key.endswith("_quantizer")}
    own = {key: value for key, value in changes.items() if not key.endswith("_quantizer")}
    floatx = tf.keras.backend.floatx()
    # Variables that are made without a type, and casts of constants, follow this setting.
    tf.keras.backend.set_floatx("float64")
    try:
        twin = type(layer).from_config({**config, **own})
        for key in quantizers:
            setattr(twin, key, changes[key] if key in changes else _quantizer64(getattr(layer, key)))
        if layer.weights:
            twin.build(input_shape or layer.get_input_shape_at(0))
            twin.set_weights(layer.get_weights()[: len(twin.weights)])
    finally:
        tf.keras.backend.set_floatx(floatx)
    return twin


def _in_float64(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: "float64" if key == "dtype" else _in_float64(value) for key, value in config.items()}
    return [_in_float64(item) for item in config] if isinstance(config, list) else config


def _quantizer64(quantizer: Any) -> Any:
    if isinstance(quantizer, tf.keras.layers.Layer):
        return type(quantizer).from_config(_in_float64(quantizer.get_config()))
    return quantizer


def binary_values(values: np.ndarray, axis: int | None = None) -> bool:
    """Whether all values are +scale or -scale, and of both signs.

    Args:
        axis: of the channels that have a scale each; None for one scale in all.
    """
    magnitudes = np.abs(values)
    others = None if axis is None else tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    high, low = magnitudes.max(others), magnitudes.min(others)
    return bool(
        (low > 0).all() and (high <= low * (1 + 1e-6)).all() and (values > 0).any() and (values < 0).any()
    )


def kernel_of(layer: tf.keras.layers.Layer) -> np.ndarray:
    """A layer's kernel as its convolution uses it: quantized where it has a quantizer."""
    names = (
        ("depthwise_kernel", "depthwise_quantizer")
        if _is_depthwise(layer)
        else ("kernel", "kernel_quantizer")
    )
    index = next(
        i for i, weight in enumerate(layer.weights) if weight.name.split("/")[-1].startswith(names[0])
    )
    kernel = tf.convert_to_tensor(layer.get_weights()[index])
    quantizer = getattr(layer, names[1], None)
    return (kernel if quantizer is None else quantizer(kernel)).numpy()


def input_of(layer: tf.keras.layers.Layer, values: tf.Tensor) -> tf.Tensor:
    """A layer's input as its convolution uses it."""
    quantizer = getattr(layer, "input_quantizer", None)
    return values if quantizer is None else quantizer(values)


def _is_depthwise(layer: tf.keras.layers.Layer) -> bool:
    return isinstance(layer, keras.DepthwiseConv2D)


# Rules: (the float64 layer, its input balls, the centres it gave, apply) to a radius for each output.
Rule = Callable[[tf.keras.layers.Layer, Sequence[Ball], Sequence[tf.Tensor], Callable], list[tf.Tensor]]


def _moves(layer, balls, centers, apply) -> list[tf.Tensor]:
    """Values only change their place."""
    return apply(layer, lambda ball: ball.radius)


def _pads(layer, balls, centers, apply) -> list[tf.Tensor]:
    """What is padded with is exact."""
    high = apply(layer, lambda ball: ball.center + ball.radius)
    return [h - c for h, c in zip(high, centers, strict=True)]


def _averages(layer, balls, centers, apply) -> list[tf.Tensor]:
    (ball,) = balls
    terms = int(np.prod(ball.center.shape[1:-1]))
    radius, magnitude = layer(ball.radius), layer(ball.magnitude)
    return [radius + (terms + SPARE) * UNIT * magnitude]


def _monotone(layer, balls, centers, apply) -> list[tf.Tensor]:
    """An element-wise function that never falls (or never rises)."""
    low = apply(layer, lambda ball: ball.center - ball.radius)
    high = apply(layer, lambda ball: ball.center + ball.radius)
    return [
        tf.maximum(tf.abs(a - c), tf.abs(b - c)) + TRANSCENDENTAL * tf.abs(c)
        for a, b, c in zip(low, high, centers, strict=True)
    ]


def _activation(layer, balls, centers, apply) -> list[tf.Tensor]:
    if tf.keras.activations.serialize(layer.activation) != "softmax":
        return _monotone(layer, balls, centers, apply)
    # d softmax_i = softmax_i (d x_i - sum softmax_j d x_j), at most twice the largest radius.
    largest = tf.reduce_max(balls[0].radius, axis=-1, keepdims=True)
    return [tf.math.expm1(2 * largest) * centers[0] + TRANSCENDENTAL * centers[0] + UNIT]


def _slopes(layer, balls, centers, apply) -> list[tf.Tensor]:
    """PReLU: a line on either side of 0."""
    steepest = np.maximum(1, np.abs(layer.alpha.numpy()))
    return [balls[0].radius * steepest + 2 * UNIT * tf.abs(centers[0])]


def _adds(layer, balls, centers, apply) -> list[tf.Tensor]:
    radius = tf.add_n([tf.broadcast_to(ball.radius, centers[0].shape) for ball in balls])
    # A constant among the terms is no larger than the sum and the other terms together.
    magnitude = tf.add_n([tf.broadcast_to(ball.magnitude, centers[0].shape) for ball in balls]) + tf.abs(
        centers[0]
    )
    return [radius + (len(balls) + 1) * UNIT * magnitude]


def _mixes(layer, balls, centers, apply) -> list[tf.Tensor]:
    a, b = balls
    share = np.abs(layer.share.numpy())
    other = np.abs(1 - layer.share.numpy())
    rounding = SPARE * UNIT * (1 + share) * (a.magnitude + b.magnitude)
    return [share * a.radius + other * b.radius + rounding]


def _multiplies(layer, balls, centers, apply) -> list[tf.Tensor]:
    (product,) = apply(layer, lambda ball: ball.magnitude)
    return [tf.abs(product) - tf.abs(centers[0]) + (len(balls) + 1) * UNIT * tf.abs(product)]


def _normalizes(layer, balls, centers, apply) -> list[tf.Tensor]:
    (ball,) = balls
    if isinstance(layer, layers.Normalize):
        scale, mean, shift = 1 / np.array(layer.std), np.array(layer.mean), 0.0
    else:
        scale = 1 / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
        scale = scale * np.abs(layer.gamma.numpy()) if layer.scale else scale
        mean, shift = layer.moving_mean.numpy(), np.abs(layer.beta.numpy()) if layer.center else 0.0
    terms = ball.magnitude * scale + np.abs(mean) * scale + shift
    return [ball.radius * scale + SPARE * UNIT * terms]


def _multiplies_and_sums(layer, balls, centers, apply) -> list[tf.Tensor]:
    """Convolutions and dense layers, binary or not."""
    (ball,) = balls
    low, used, high = (
        input_of(layer, x) for x in (ball.center - ball.radius, ball.center, ball.center + ball.radius)
    )
    step = tf.maximum(tf.abs(low - used), tf.abs(high - used))
    kernel = kernel_of(layer)
    terms, undecided = int(np.prod(kernel.shape[:-1])), bool(tf.reduce_any(step > 0))
    exact = binary_values(kernel, axis=-1) and binary_values(used.numpy())
    if exact and not undecided:
        # Integers up to the number of terms, which LCE counts exactly and then scales and shifts.
        return [_exact(layer, kernel, centers[0])]
    magnitude = _magnitudes(layer, kernel, used.shape)
    if exact:
        return [_exact(layer, kernel, centers[0]) + magnitude(step)]
    rounding = (terms + SPARE) * UNIT * (magnitude(tf.abs(used) + step) + _bias(layer))
    return [rounding + magnitude(step) if undecided else rounding]


def _exact(layer: tf.keras.layers.Layer, kernel: np.ndarray, center: tf.Tensor) -> tf.Tensor:
    largest = np.prod(kernel.shape[:-1]) * np.abs(kernel).max() + _bias(layer)
    return SPARE * UNIT * largest * tf.ones_like(center)


def _magnitudes(layer: tf.keras.layers.Layer, kernel: np.ndarray, input_shape: Any) -> tf.keras.layers.Layer:
    """The layer with the magnitudes of its kernel, and nothing around it."""
    plain = {"use_bias": False, "activation": "linear"}
    for key in ("input_quantizer", "kernel_quantizer", "depthwise_quantizer"):
        if hasattr(layer, key):
            plain[key] = None
    if hasattr(layer, "pad_values"):
        plain["pad_values"] = 0.0
    twin = rebuild(layer, input_shape, **plain)
    twin.set_weights([np.abs(kernel)])
    return twin


def _bias(layer: tf.keras.layers.Layer) -> np.ndarray | float:
    return np.abs(layer.bias.numpy()) if layer.use_bias else 0.0


MOVING = (
    keras.Concatenate,
    keras.Cropping2D,
    keras.Dropout,
    keras.Flatten,
    keras.GlobalMaxPooling2D,
    keras.InputLayer,
    keras.MaxPooling2D,
    keras.Permute,
    keras.Reshape,
    keras.UpSampling2D,
    keras.ZeroPadding2D,
    layers.ChannelShuffle,
    layers.Rotate180,
)
RULES: list[tuple[tuple[type, ...], Rule]] = [
    (MOVING, _moves),
    ((keras.AveragePooling2D, keras.GlobalAveragePooling2D), _averages),
    ((keras.ReLU, keras.LeakyReLU, lq.quantizers.Quantizer), _monotone),
    ((keras.PReLU,), _slopes),
    ((keras.Activation,), _activation),
    ((keras.Add, keras.Subtract, layers.Bias), _adds),
    ((layers.Mix,), _mixes),
    ((keras.Multiply,), _multiplies),
    ((keras.BatchNormalization, layers.Normalize), _normalizes),
    ((keras.DepthwiseConv2D, keras.Conv2D, keras.Dense), _multiplies_and_sums),
]
# TensorFlow functions that stand in a model as they are.
OPS: list[tuple[str, Rule]] = [
    ("concat reshape transpose stop_gradient identity split squeeze expand_dims nn.max_pool2d", _moves),
    ("compat.v1.transpose compat.v1.squeeze", _moves),
    ("pad compat.v1.pad", _pads),
    ("math.sign sign nn.relu nn.relu6 math.sigmoid math.tanh clip_by_value", _monotone),
    ("__operators__.add math.add math.subtract", _adds),
    ("math.multiply", _multiplies),
]
OP_RULES: dict[str, Rule] = {name: rule for names, rule in OPS for name in names.split()}
LINEAR_ACTIVATIONS = ("linear", "relu", "relu6")


def _is_op(layer: tf.keras.layers.Layer) -> bool:
    return type(layer).__name__ in ("TFOpLambda", "SlicingOpLambda")


def _rule(layer: tf.keras.layers.Layer) -> Rule:
    if _is_op(layer):
        name = layer.get_config()["function"]
        rule = _moves if type(layer).__name__ == "SlicingOpLambda" else OP_RULES.get(name)
    else:
        name = type(layer).__name__
        rule = next((rule for types, rule in RULES if isinstance(layer, types)), None)
    if rule is _multiplies_and_sums:
        activation = tf.keras.activations.serialize(layer.activation)
        if activation not in LINEAR_ACTIVATIONS or isinstance(
            layer, (keras.SeparableConv2D, keras.Conv2DTranspose)
        ):
            rule, name = None, f"{name} with activation {activation}"
    if rule is None:
        raise UserError(
            f"Cannot check layer {layer.name!r}: no bound of its rounding is known for {name}; known are "
            f"convolutions, dense layers, BatchNorm, pooling, the usual activations, and what moves or joins "
            f"tensors (bnn_keras.deploy.verification.intervals lists them)."
        )
    return rule
