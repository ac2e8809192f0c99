"""Interval arithmetic: how far rounding in float32 may carry a value from the exact one.

An interval is the value of a tensor in float64, the center, and a bound of how far any float32
computation of it can lie from that, the radius. The layer itself, rebuilt in float64, computes the
center. A `Bound` computes the radius: from what the layer rounds off (a sum of n terms in any order: n
units of 2^-24 of the sum of their magnitudes; Higham, Accuracy and Stability of Numerical Algorithms,
section 3.1), and from the radii of the inputs, which the layer passes on: a convolution by the
magnitudes of its kernel, a sign as its whole step where the interval contains 0.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bnn_keras.nn.inference import infer

UNIT = 2.0**-24  # half the distance from 1 to the next float32
# Roundings besides those of a sum's terms: constants that are folded and stored, a scale, a shift.
SPARE = 8
# What the approximations of exp and similar functions in TFLite may add to the rounding of the result.
TRANSCENDENTAL = 64 * UNIT


@dataclasses.dataclass(frozen=True)
class Interval:
    """A tensor in float64, and how far a float32 computation of it may lie from it.

    Args:
        center, radius: two tensors of the same shape.
        terms: of the float32 sum that it is, or 0. The converter folds a shift that follows into the sum,
            where it may be the first term: then each of the others is rounded at its size.
    """

    center: tf.Tensor
    radius: tf.Tensor
    terms: int = 0

    @classmethod
    def exact(cls, values: Any) -> "Interval":
        """An interval of radius 0."""
        center = tf.cast(values, tf.float64)
        return cls(center, tf.zeros_like(center))

    @property
    def low(self) -> tf.Tensor:
        """The lower end."""
        return self.center - self.radius

    @property
    def high(self) -> tf.Tensor:
        """The upper end."""
        return self.center + self.radius

    @property
    def magnitude(self) -> tf.Tensor:
        """The largest absolute value in it."""
        return tf.abs(self.center) + self.radius


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a layer on intervals: what a bound is computed from.

    Args:
        layer: the layer in float64, with its weights.
        args, kwargs: of the call, with intervals in the place of tensors.
        outputs: the centers that the layer computed.
    """

    layer: Any
    args: Any
    kwargs: Any
    outputs: list[tf.Tensor]

    @property
    def inputs(self) -> list[Interval]:
        """The intervals among the arguments."""
        leaves = tf.nest.flatten((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, Interval)]

    def at(self, part: Callable[[Interval], tf.Tensor]) -> list[tf.Tensor]:
        """The outputs of the layer for a tensor of every input, such as its radius or its upper end."""
        return _apply(self.layer, self.args, self.kwargs, part)


# Computes the radius of every output of a layer: a list, or one tensor if there is one output.
Bound = Callable[[Step], list[tf.Tensor] | tf.Tensor]


def evaluate(layer: Callable, bound: Bound, args: Any, kwargs: Any, terms: int = 0) -> tuple[Interval, ...]:
    """The outputs of a layer, as intervals.

    Args:
        layer: the layer in float64.
        bound: of layers of its type.
        args, kwargs: of the call, with intervals in the place of tensors.
        terms: of the outputs, see `Interval`.
    """
    outputs = _apply(layer, args, kwargs, lambda interval: interval.center)
    radii = tf.nest.flatten(bound(Step(layer, args, kwargs, outputs)))
    return tuple(Interval(center, radius, terms) for center, radius in zip(outputs, radii, strict=True))


def _apply(layer: Callable, args: Any, kwargs: Any, part: Callable[[Interval], tf.Tensor]) -> list[tf.Tensor]:
    args, kwargs = tf.nest.map_structure(
        lambda leaf: part(leaf) if isinstance(leaf, Interval) else leaf, (args, kwargs)
    )
    # Some operations, such as the resizing of images, give float32 whatever they take.
    return [tf.cast(output, tf.float64) for output in tf.nest.flatten(infer(layer, args, kwargs))]
