"""Random changes of colour: brightness, contrast, saturation and hue, and lighting."""

from collections.abc import Callable, Sequence
from functools import partial

import tensorflow as tf

from bnn_keras.data.augment import operations

# The columns are the principal components of ImageNet's RGB values (Krizhevsky et al., 2012, section 4.1).
# These numbers and their standard deviations are MXNet's and GluonCV's.
COMPONENTS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
DEVIATIONS = (55.46, 4.794, 1.148)


def color_jitter(image: tf.Tensor, seed: tf.Tensor, ranges: Sequence[float]) -> tf.Tensor:
    """Change brightness, contrast, saturation and hue, in random order (torchvision's ColorJitter).

    Args:
        image: uint8, [height, width, 3].
        seed: int64 [2].
        ranges: of brightness, contrast and saturation, whose factors are uniform in 1 ± range, but not
            negative; and of the hue, which turns by a share of the colour circle, uniform in ± range.
            0 leaves a step out.
    """
    *factors, hue = ranges
    enhancements = (operations.brightness, operations.contrast, operations.color)
    steps: list[Callable] = [
        lambda image, chance, f=f, r=r: f(image, _between(max(0.0, 1 - r), 1 + r, chance))
        for f, r in zip(enhancements, factors, strict=True)
        if r
    ]
    if hue:
        steps.append(lambda image, chance: operations.hsv(image, _between(-hue, hue, chance), 1.0, 1.0))
    order, chances = tf.unstack(tf.random.stateless_uniform([2, len(steps)], seed))
    order = tf.argsort(order)
    for i in range(len(steps)):
        branches = [partial(step, image, chances[i]) for step in steps]
        image = tf.ensure_shape(tf.switch_case(order[i], branches), image.shape)
    return image


def hsv_jitter(image: tf.Tensor, seed: tf.Tensor, ranges: Sequence[float]) -> tf.Tensor:
    """Turn the hue by a share of the colour circle in ± range; multiply saturation and value by 1 ± range.

    Args:
        image: uint8, [height, width, 3].
        seed: int64 [2].
        ranges: of hue, saturation and value.
    """
    hue, saturation, value = tf.unstack(tf.random.stateless_uniform([3], seed, -1.0, 1.0) * ranges)
    return operations.hsv(image, hue, 1 + saturation, 1 + value)


def lighting(image: tf.Tensor, seed: tf.Tensor, deviation: float) -> tf.Tensor:
    """Add one colour to all pixels: the principal components of ImageNet, each with a normal factor.

    Args:
        image: float32, RGB in [0, 255].
        seed: int64 [2].
        deviation: standard deviation of the factors; 0.1 in AlexNet and GluonCV.
    """
    factors = deviation * tf.random.stateless_normal([3], seed)
    return tf.clip_by_value(image + tf.linalg.matvec(COMPONENTS, factors * DEVIATIONS), 0, 255)


def _between(low: float, high: float, chance: tf.Tensor) -> tf.Tensor:
    return low + (high - low) * chance
