"""RandAugment (Cubuk et al., 2020) as timm defines it: operations, magnitudes and noise."""

import functools
from collections.abc import Callable, Sequence
from functools import partial

import tensorflow as tf

from bnn_keras.data.augment import operations
from bnn_keras.settings.rand_augment import RandAugment

RANGE = 10.0  # the magnitude of the strongest effect
UNIFORM = 100.0  # noise above this: the magnitude is uniform, up to the given one

Operation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]  # of image, level and sign


def rand_augment(image: tf.Tensor, seed: tf.Tensor, policy: RandAugment, fill: Sequence[int]) -> tf.Tensor:
    """An image with some of the operations applied.

    Args:
        image: uint8, [height, width, 3], the shape known.
        seed: int64 [2].
        policy: how many, how strong, how often.
        fill: the colour of the pixels that come from outside the image.
    """
    indices, levels, signs = draw(policy, seed)
    apply = _one_of(policy.increasing, tuple(fill))
    for i in range(policy.count):
        image = tf.ensure_shape(apply(image, indices[i], levels[i], signs[i]), image.shape)
    return image


def draw(policy: RandAugment, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draw what to do to an image.

    Args:
        policy: how many, how strong, how often.
        seed: int64 [2].

    Returns:
        For each of `policy.count` operations: its place in `operation_table` counted from 1, or 0 for
        none, int32; the level, magnitude over 10, float32; and 1 or -1, float32.
    """
    size, shape = len(operation_table(policy.increasing, (0, 0, 0))), [4, policy.count]
    which, applied, side, magnitude = tf.unstack(tf.random.stateless_uniform(shape, seed))
    if policy.noise > UNIFORM:
        magnitude *= policy.magnitude
    else:
        other_seed = tf.random.experimental.stateless_fold_in(seed, 1)
        noise = tf.random.stateless_normal([policy.count], other_seed)
        magnitude = policy.magnitude + policy.noise * noise
    indices = tf.where(applied < policy.probability, 1 + tf.cast(which * size, tf.int32), 0)
    return indices, tf.clip_by_value(magnitude, 0, policy.limit) / RANGE, tf.where(side < 0.5, 1.0, -1.0)


@functools.cache
def _one_of(increasing: bool, fill: tuple[int, ...]) -> Callable[..., tf.Tensor]:
    """A function of image, index (see `draw`), level and sign that applies an operation."""
    table = operation_table(increasing, fill).values()

    def apply(image: tf.Tensor, index: tf.Tensor, level: tf.Tensor, sign: tf.Tensor) -> tf.Tensor:
        # Branches: only the operation that was drawn is computed.
        branches = [partial(operation, image, level, sign) for operation in table]
        return tf.switch_case(index, [partial(tf.identity, image), *branches])

    # One function in the graph, so that the graph holds the branches only once, not `count` times: each
    # epoch builds a new graph, which takes time in proportion to its size.
    return tf.function(apply, autograph=False, experimental_attributes={"_noinline": True})


def operation_table(increasing: bool, fill: Sequence[int]) -> dict[str, Operation]:
    """The operations by timm's names, as functions of image, level and sign.

    Args:
        increasing: whether the effect of posterize, solarize and the four enhancements grows with the
            level.
        fill: the colour of the pixels that come from outside the image.
    """
    enhancement = _around_one if increasing else _from_weak_to_strong

    def bits(level: tf.Tensor) -> tf.Tensor:
        kept = tf.cast(level * 4, tf.int32)
        return tf.clip_by_value(4 - kept if increasing else kept, 0, 8)

    def threshold(level: tf.Tensor) -> tf.Tensor:
        lowest = tf.minimum(tf.cast(level * 256, tf.int32), 256)
        return 256 - lowest if increasing else lowest

    def amount(level: tf.Tensor) -> tf.Tensor:
        return tf.minimum(tf.cast(level * 110, tf.int32), 128)

    def enhanced(operation: Callable[..., tf.Tensor]) -> Operation:
        return lambda image, level, sign: operation(image, enhancement(level, sign))

    def moved(operation: Callable[..., tf.Tensor], most: float) -> Operation:
        return lambda image, level, sign: operation(image, sign * level * most, fill)

    return {
        "AutoContrast": lambda image, level, sign: operations.auto_contrast(image),
        "Equalize": lambda image, level, sign: operations.equalize(image),
        "Invert": lambda image, level, sign: operations.invert(image),
        "Rotate": moved(operations.rotate, 30.0),
        "Posterize": lambda image, level, sign: operations.posterize(image, bits(level)),
        "Solarize": lambda image, level, sign: operations.solarize(image, threshold(level)),
        "SolarizeAdd": lambda image, level, sign: operations.solarize_add(image, amount(level)),
        "Color": enhanced(operations.color),
        "Contrast": enhanced(operations.contrast),
        "Brightness": enhanced(operations.brightness),
        "Sharpness": enhanced(operations.sharpness),
        "ShearX": moved(operations.shear_x, 0.3),
        "ShearY": moved(operations.shear_y, 0.3),
        "TranslateX": moved(operations.translate_x, 0.45),
        "TranslateY": moved(operations.translate_y, 0.45),
    }


def _around_one(level: tf.Tensor, sign: tf.Tensor) -> tf.Tensor:
    return tf.maximum(0.1, 1 + sign * level * 0.9)


def _from_weak_to_strong(level: tf.Tensor, sign: tf.Tensor) -> tf.Tensor:
    return 0.1 + level * 1.8
