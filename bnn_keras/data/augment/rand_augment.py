"""RandAugment (Cubuk et al., 2020) as timm defines it: operations, magnitudes, noise."""

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from functools import partial

import tensorflow as tf

from bnn_keras.data.augment import operations
from bnn_keras.errors import UserError

RANGE = 10.0  # the magnitude at which an operation does all that it is meant to
UNIFORM = 100.0  # noise above this: any magnitude up to the given one
SECTION = re.compile(r"(mstd|mmax|inc|m|n|p)(\d+(?:\.\d+)?)")
EXAMPLE = "rand-m7-mstd0.5-inc1-n2-p0.5"

Operation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """A policy.

    Args:
        magnitude: of the operations; 10 is the full range (m).
        noise: standard deviation of the magnitude (mstd); above 100 it is uniform from 0 on.
        limit: the largest magnitude after noise (mmax).
        count: operations drawn for an image, with replacement (n).
        probability: with which each of them is applied (p).
        increasing: whether all operations grow with the magnitude (inc1).
    """

    magnitude: int = 10
    noise: float = 0.0
    limit: int = 10
    count: int = 2
    probability: float = 0.5
    increasing: bool = False

    @classmethod
    def parse(cls, text: str) -> "RandAugment":
        """The policy that timm reads from such a string.

        Args:
            text: "rand" and sections behind dashes, in any order, such as
                "rand-m7-mstd0.5-inc1-n2-p0.5".

        Raises:
            UserError: it cannot be read, or a number does not fit.
        """
        first, *sections = text.split("-")
        found = [SECTION.fullmatch(section) for section in sections]
        given = {match[1]: match[2] for match in found if match}
        whole = all(given[key].isdigit() for key in {"m", "mmax", "n", "inc"} & set(given))
        if first != "rand" or len(given) < len(found) or not whole:
            raise UserError(
                f"rand_augment must read like {EXAMPLE!r}: sections m, mmax, n (whole numbers), mstd, p and "
                f"inc1, each at most once. Received: {text!r}."
            )
        # timm takes any number behind inc for yes.
        if given.get("inc", "1") != "1":
            raise UserError(
                f"rand_augment has inc1 or no inc, since timm reads inc0 as inc1. Received: {text!r}."
            )
        policy = cls(
            magnitude=int(given.get("m", 10)),
            noise=float(given.get("mstd", 0)),
            limit=int(given.get("mmax", 0)) or 10,
            count=int(given.get("n", 2)),
            probability=float(given.get("p", 0.5)),
            increasing="inc" in given,
        )
        if policy.probability > 1:
            raise UserError(f"The probability p in rand_augment must be from 0 to 1. Received: {text!r}.")
        if policy.count < 1:
            raise UserError(f"The operations n in rand_augment must be at least 1. Received: {text!r}.")
        return policy

    def __call__(self, image: tf.Tensor, seed: tf.Tensor, fill: Sequence[int]) -> tf.Tensor:
        """An image with some of the operations applied.

        Args:
            image: uint8, [height, width, 3], the shape known.
            seed: int64 [2].
            fill: the colour that comes in from outside.
        """
        indices, levels, signs = self.draw(seed)
        apply = _one_of(self.increasing, tuple(fill))
        for i in range(self.count):
            image = tf.ensure_shape(apply(image, indices[i], levels[i], signs[i]), image.shape)
        return image

    def draw(self, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What to do to an image.

        Args:
            seed: int64 [2].

        Returns:
            For each of `count` operations: its place in `operation_table` counted from 1, or 0 for
            none, int32; the level, magnitude over 10, float32; and 1 or -1, float32.
        """
        size = len(operation_table(self.increasing, (0, 0, 0)))
        which, applied, side, magnitude = tf.unstack(tf.random.stateless_uniform([4, self.count], seed))
        if self.noise > UNIFORM:
            magnitude *= self.magnitude
        else:
            noise = tf.random.stateless_normal(
                [self.count], tf.random.experimental.stateless_fold_in(seed, 1)
            )
            magnitude = self.magnitude + self.noise * noise
        indices = tf.where(applied < self.probability, 1 + tf.cast(which * size, tf.int32), 0)
        return indices, tf.clip_by_value(magnitude, 0, self.limit) / RANGE, tf.where(side < 0.5, 1.0, -1.0)


@functools.cache
def _one_of(increasing: bool, fill: tuple[int, ...]) -> Callable[..., tf.Tensor]:
    """A function of image, index (see `RandAugment.draw`), level and sign that applies an operation."""
    table = operation_table(increasing, fill).values()

    def apply(image, index, level, sign):
        # A branch each: only the operation that was drawn is computed.
        branches = [partial(operation, image, level, sign) for operation in table]
        return tf.switch_case(index, [partial(tf.identity, image), *branches])

    # A function of the graph, which then holds the branches once and not once for each of `count`:
    # every epoch builds its graph anew, and that takes time in proportion.
    return tf.function(apply, autograph=False, experimental_attributes={"_noinline": True})


def operation_table(increasing: bool, fill: Sequence[int]) -> dict[str, Operation]:
    """The operations by timm's names, as functions of image, level and sign.

    Args:
        increasing: whether posterize, solarize and the four enhancements grow with the level.
        fill: the colour that comes in from outside.
    """
    enhancement = _around_one if increasing else _from_weak_to_strong

    def bits(level):
        kept = tf.cast(level * 4, tf.int32)
        return tf.clip_by_value(4 - kept if increasing else kept, 0, 8)

    def threshold(level):
        lowest = tf.minimum(tf.cast(level * 256, tf.int32), 256)
        return 256 - lowest if increasing else lowest

    def amount(level):
        return tf.minimum(tf.cast(level * 110, tf.int32), 128)

    def enhanced(operation):
        return lambda image, level, sign: operation(image, enhancement(level, sign))

    def moved(operation, most):
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
