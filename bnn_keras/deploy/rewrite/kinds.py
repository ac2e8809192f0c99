"""The kinds of operations, each as what TensorFlow computes.

They are in the forms that the converter of the Larq Compute Engine knows. A kind that only one rewrite makes
stands with this rewrite.
"""

from collections.abc import Callable
from typing import Any

import larq as lq
import tensorflow as tf

from bnn_keras.deploy.rewrite.operations import THRESHOLD

Form = Callable[..., tf.Tensor]
KINDS: dict[str, Form] = {}


def kind(name: str) -> Callable[[Form], Form]:
    """Register what an operation computes.

    Args:
        name: of the kind. The decorated function takes the outputs of the operation's inputs, and its
            constants and settings by their names.
    """

    def register(form: Form) -> Form:
        KINDS[name] = form
        return form

    return register


@kind("shift")
def _shift(x: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    return x + shift


@kind(THRESHOLD)
def _threshold(x: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Not negative where x is no smaller than the threshold. An addition costs less than a subtraction."""
    return x + (-threshold)


@kind("split")
def _split(x: tf.Tensor, groups: int) -> list[tf.Tensor]:
    return tf.split(x, groups, axis=-1)


@kind("scale")
def _scale(x: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    return x * scale


@kind("conv")
def _conv(x: tf.Tensor, kernel: tf.Tensor, strides: Any, padding: str, dilations: Any) -> tf.Tensor:
    return tf.nn.conv2d(x, kernel, strides, padding, dilations=dilations)


@kind("grouped_conv")
def _grouped_conv(
    x: tf.Tensor,
    kernel: tf.Tensor,
    groups: int,
    strides: Any,
    padding: str,
    dilations: Any,
    native: bool = False,
) -> tf.Tensor:
    if native and x.dtype == tf.float32:  # TensorFlow has no kernel for it, so it is only converted
        return tf.nn.conv2d(x, kernel, strides, padding, dilations=dilations)
    parts = zip(tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    return tf.concat([_conv(one, part, strides, padding, dilations) for one, part in parts], axis=-1)


@kind("binary_conv")
def _binary_conv(x: tf.Tensor, kernel: tf.Tensor, strides: Any, padding: str, dilations: Any) -> tf.Tensor:
    """The convolution of the signs of x with signs."""
    # As in the quantizers: LCE knows it in this form.
    return tf.nn.conv2d(lq.math.sign(x), kernel, strides, padding, dilations=dilations)


@kind("relu")
def _relu(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(x)


@kind("prelu")
def _prelu(x: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    slopes = tf.reshape(-alpha, [1, 1, -1])
    return tf.nn.relu(x) + slopes * tf.nn.relu(-x)  # as Keras: the converter knows it in this form


@kind("add")
def _add(*terms: tf.Tensor) -> tf.Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@kind("multiply")
def _multiply(*factors: tf.Tensor) -> tf.Tensor:
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return product


@kind("concat")
def _concat(*parts: tf.Tensor) -> tf.Tensor:
    return tf.concat(parts, axis=-1)


@kind("mean")
def _mean(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(x, [1, 2], keepdims=True)


@kind("reverse")
def _reverse(x: tf.Tensor) -> tf.Tensor:
    return tf.reverse(x, axis=[1, 2])


@kind("max_pool")
def _max_pool(x: tf.Tensor, size: Any, strides: Any, padding: str) -> tf.Tensor:
    return tf.nn.max_pool2d(x, size, strides, padding)


@kind("average_pool")
def _average_pool(x: tf.Tensor, size: Any, strides: Any, padding: str) -> tf.Tensor:
    return tf.nn.avg_pool2d(x, size, strides, padding)
