"""A layer of a model in float64, which maps intervals to intervals."""

from typing import Any

import larq as lq
import tensorflow as tf

from bnn_keras.nn.bounds import sums_of, unknown
from bnn_keras.nn.float64 import rebuild
from bnn_keras.nn.intervals import Interval, evaluate
from bnn_keras.nn.registration import function_name, is_function, traits_of


class Layer64:
    """A layer rebuilt in float64 with the same weights.

    Args:
        layer: a built Keras layer.

    Raises:
        UserError: no bound is known for layers of its type.
    """

    def __init__(self, layer: tf.keras.layers.Layer) -> None:
        traits = traits_of(layer)
        if traits.bound is None:
            raise unknown(layer, function_name(layer) if is_function(layer) else type(layer).__name__)
        self.bound, self.keeps_terms = traits.bound, traits.elementwise or traits.moves
        self.twin = layer if is_function(layer) else rebuild(layer)

    def __call__(self, args: Any, kwargs: Any) -> tuple[Interval, ...]:
        """The outputs of the layer for arguments that contain intervals."""
        return evaluate(self.twin, self.bound, args, kwargs, self._terms(args))

    def _terms(self, args: Any) -> int:
        """The terms of the sums that the outputs are, or are computed from one by one; see `Interval`."""
        has_kernel = hasattr(self.twin, "kernel") or hasattr(self.twin, "depthwise_kernel")
        if has_kernel and getattr(self.twin, "input_quantizer", None) is None:
            return sum(terms for _, terms in sums_of(self.twin))
        intervals = [leaf for leaf in tf.nest.flatten(args) if isinstance(leaf, Interval)]
        return max((interval.terms for interval in intervals), default=0) if self.keeps_terms else 0

    def has_open_signs(self, args: Any) -> bool:
        """Whether the layer quantizes its input and an interval of that lies on both sides of a step."""
        is_quantizer = isinstance(self.twin, lq.quantizers.Quantizer)
        quantizer = self.twin if is_quantizer else getattr(self.twin, "input_quantizer", None)
        intervals = [leaf for leaf in tf.nest.flatten(args) if isinstance(leaf, Interval)]
        return quantizer is not None and any(
            bool(tf.reduce_any(quantizer(interval.low) != quantizer(interval.high))) for interval in intervals
        )
