"""Binary kernels with a scale for each output channel, as XNOR-Net and BNAS train them.

A latent kernel has a mean of 0 over its input channels and values in [-1, 1]: it starts so
(`CenteredUniform`) and is brought back after every step (`Centered`). The convolution uses its signs times
the mean magnitude of each output channel (`ScaledSign`).

Sources: XNOR-Net (https://arxiv.org/abs/1603.05279), section 3.1; BNAS
(https://arxiv.org/abs/2002.06963) and its released code.
"""

import functools
from collections.abc import Sequence
from typing import Any

import larq as lq
import tensorflow as tf
from typing_extensions import override

from bnn_keras.nn import layers, quantizers
from bnn_keras.nn.convolution import QuantConv2D
from bnn_keras.nn.registration import register_ours

LARGEST = 1.0  # latent weight
INPUT_AXES = (0, 1, 2)  # of a kernel: height, width, input channels
CHANNEL_AXIS = 2


# Its scale depends on all values of a channel, so it has no bound as an activation.
@register_ours(bound=None, elementwise=True)
class ScaledSign(lq.quantizers.Quantizer):
    """sign(w) * mean|w| for each output channel of a kernel, [height, width, channels, filters].

    The gradient of the latent weights is that of BNAS's released code. For an upstream gradient g,
    n weights in an output channel and c input channels it is

        (mean|w| * g + sign(w) * mean(sign(w) * g)) * (1 - 1 / c) * n

    The second term comes from the scale; the factors are those of the code.

    Args:
        used: the input channels that the result has, of those that the scale is a mean of; None for all.
    """

    precision = 1

    def __init__(self, used: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.used = None if used is None else [int(channel) for channel in used]

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        binary = _scaled_sign(tf.convert_to_tensor(inputs))
        return binary if self.used is None else tf.gather(binary, self.used, axis=CHANNEL_AXIS)

    def upstream(self, kernel: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        """The upstream gradient g that has led to a gradient of the latent weights.

        BNAS's released code limits the norm of g. A channel whose weights are all 0 has lost g: it gives 0.

        Args:
            kernel: the latent weights, [height, width, channels, filters].
            gradient: of the latent weights, of the same shape.
        """
        scale, signs = _channel_mean(tf.abs(kernel)), lq.math.sign(kernel)
        whole = gradient / _factor(kernel)
        mean = _channel_mean(signs * whole) / (scale + 1)  # of sign(w) * g
        return tf.math.divide_no_nan(whole - signs * mean, scale)

    @override
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "used": self.used}


@tf.custom_gradient
def _scaled_sign(kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
    signs, scale = lq.math.sign(kernel), _channel_mean(tf.abs(kernel))

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        whole = scale * upstream + signs * _channel_mean(signs * upstream)
        return whole * _factor(kernel)

    return signs * scale, gradient


def _factor(kernel: tf.Tensor) -> float:
    height, width, channels, _ = kernel.shape
    return (1 - 1 / channels) * height * width * channels


def uniform() -> tf.keras.initializers.Initializer:
    """PyTorch's default for kernels: uniform between ±1 / sqrt(fan_in)."""
    return tf.keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def _channel_mean(kernel: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(kernel, axis=INPUT_AXES, keepdims=True)


def center(kernel: tf.Tensor) -> tf.Tensor:
    """A kernel, [height, width, channels, filters], less its mean over the channels, cut at -1 and 1."""
    centered = kernel - tf.reduce_mean(kernel, axis=CHANNEL_AXIS, keepdims=True)
    return quantizers.clip(centered, -LARGEST, LARGEST)


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class Centered(tf.keras.constraints.Constraint):
    """Centers a latent kernel after every step, see `center`."""

    @override
    def __call__(self, w: tf.Tensor) -> tf.Tensor:
        return center(tf.convert_to_tensor(w))


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class CenteredUniform(tf.keras.initializers.Initializer):
    """Draws a kernel as PyTorch does by default, and centers it."""

    @override
    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> tf.Tensor:
        return center(uniform()(shape, dtype, **kwargs))


@register_ours
class PartialConv2D(QuantConv2D):
    """A convolution whose latent kernel has weights for further channels, which are known to be 0.

    The weights of these channels count for the mean and the scale of a `ScaledSign`, and for nothing else.
    They cannot be left to the sums: a sign is not 0.
    `bnn_keras.accounting` counts them, as BNAS's released code does; a file has those that are used.

    Args:
        kernel_channels: input channels of the latent kernel.
        settings: of the base class. `kernel_quantizer` gives the weights of the channels that are there.
    """

    def __init__(self, *args: Any, kernel_channels: int, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.kernel_channels = kernel_channels

    @override
    def build(self, input_shape: Any) -> None:
        *image, channels = input_shape
        super().build((*image, self.kernel_channels))
        self.input_spec = tf.keras.layers.InputSpec(ndim=4, axes={-1: channels})

    @override
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel_channels": self.kernel_channels}


def scaled_conv(
    filters: int,
    kernel_size: int,
    *,
    kernel_channels: int = 0,
    used: Sequence[int] | None = None,
    **settings: Any,
) -> QuantConv2D:
    """A convolution of signs with the scaled signs of its kernel.

    LCE folds the scale into the factors of its output channels.

    Args:
        filters: output channels.
        kernel_size: edge of the kernel in pixels.
        kernel_channels, used: see `PartialConv2D` and `ScaledSign`, for an input that lacks the channels that
            are known to be 0.
        settings: of `bnn_keras.nn.layers.binary_conv`.
    """
    if used is not None:
        settings["layer"] = functools.partial(PartialConv2D, kernel_channels=kernel_channels)
    return layers.binary_conv(
        filters,
        kernel_size,
        kernel_quantizer=ScaledSign(used),
        kernel_constraint=Centered(),
        kernel_initializer=CenteredUniform(),
        **settings,
    )


def float_kernel_conv(filters: int, kernel_size: int, strides: int, dilation: int, name: str) -> QuantConv2D:
    """A convolution of signs with a 32-bit kernel, 'same' padding, no bias."""
    return QuantConv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        input_quantizer=quantizers.activation_sign(),
        kernel_initializer=uniform(),
        name=name,
    )
