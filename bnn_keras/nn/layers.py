"""Layers of our own, each with its traits. Models with them are saved and loaded without other code."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from typing_extensions import override

from bnn_keras.errors import UserError
from bnn_keras.nn import bounds, quantizers
from bnn_keras.nn.convolution import QuantConv2D
from bnn_keras.nn.intervals import SPARE, UNIT, Step
from bnn_keras.nn.registration import register_ours
from bnn_keras.nn.traits import TorchWeight

# Larq warns of every binary kernel without a constraint, which matters only if its gradient is cut.
logging.getLogger("larq.layers_base").addFilter(
    lambda record: "without setting `kernel_constraint`" not in record.getMessage()
)

# The authors' code has these weights as [1, channels, 1, 1].
IMAGE_AXES = (0, 3, 1, 2)


def binary_conv(
    filters: int,
    kernel_size: int,
    *,
    strides: int = 1,
    pad_values: float = 0.0,
    activation_clip: float = 1.0,
    kernel_clip: float | None = None,
    kernel_quantizer: tf.keras.layers.Layer | None = None,
    kernel_constraint: tf.keras.constraints.Constraint | None = None,
    dilation: int = 1,
    kernel_initializer: str | tf.keras.initializers.Initializer = "glorot_normal",
    layer: Callable[..., QuantConv2D] = QuantConv2D,
    name: str | None = None,
) -> QuantConv2D:
    """A convolution of signs with signs: Larq's `QuantConv2D`, 'same' padding, no bias.

    Args:
        filters: output channels.
        kernel_size: edge of the kernel in pixels.
        strides: step in pixels.
        pad_values: the value of the border: 0 (in every paper here), 1, or -1 (which LCE leaves in 32 bits).
        activation_clip: the gradient of the activations is passed where |x| is no larger.
        kernel_clip: the largest latent weight; None does not limit it.
        kernel_quantizer: None is the sign; its gradient is cut where |w| > `kernel_clip`.
        kernel_constraint: of the latent weights; None is that of `kernel_clip`.
        dilation: pixels from one weight of the kernel to the next.
        kernel_initializer: of the latent weights.
        layer: makes the layer.
        name: of the layer.
    """
    return layer(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        pad_values=pad_values,
        use_bias=False,
        input_quantizer=quantizers.activation_sign(activation_clip),
        kernel_quantizer=kernel_quantizer or quantizers.kernel_sign(kernel_clip),
        kernel_constraint=kernel_constraint or quantizers.kernel_constraint(kernel_clip),
        dilation_rate=dilation,
        kernel_initializer=kernel_initializer,
        name=name,
    )


def progressive_conv(
    filters: int, kernel_size: int, *, hard_below: float = quantizers.HARD_BELOW, **settings: Any
) -> QuantConv2D:
    """A binary convolution whose kernel becomes binary while it is trained (BNext, section 5.1).

    Args:
        filters: output channels.
        kernel_size: edge of the kernel in pixels.
        hard_below: see `bnn_keras.nn.quantizers.ProgressiveSign`.
        settings: of `binary_conv`.
    """
    quantizer = quantizers.ProgressiveSign(hard_below)
    return binary_conv(filters, kernel_size, kernel_quantizer=quantizer, **settings)


def _normalize_bound(step: Step) -> list[tf.Tensor]:
    layer = step.layer
    return bounds.scales_and_shifts(step.inputs[0], 1 / np.array(layer.std), layer.mean, 0.0)


def _mix_bound(step: Step) -> tf.Tensor:
    a, b = step.inputs
    share = step.layer.share.numpy()
    rounding = SPARE * UNIT * (1 + np.abs(share)) * (a.magnitude + b.magnitude)
    return np.abs(share) * a.radius + np.abs(1 - share) * b.radius + rounding


@register_ours(
    bound=_normalize_bound, elementwise=True, stores=lambda layer: [len(layer.mean), len(layer.std)]
)
class Normalize(tf.keras.layers.Layer):
    """(x - mean) / std per channel, without weights: the model takes RGB in [0, 255].

    Args:
        mean, std: one number a channel, on the scale of the input.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise UserError(
                f"Normalize needs as many positive stds as means. Received: mean={mean}, std={std}."
            )
        self.mean, self.std = [float(m) for m in mean], [float(s) for s in std]

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        mean = tf.constant(self.mean, inputs.dtype)
        return (inputs - mean) * tf.constant([1 / s for s in self.std], inputs.dtype)

    @override
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "std": self.std}


@register_ours(moves=True)
class Rotate180(tf.keras.layers.Layer):
    """Turn images upside down, [batch, height, width, channels].

    A strided convolution with PyTorch's symmetric padding equals one with TensorFlow's 'same' padding
    if the image and the kernel are turned by 180 degrees. After this layer, a network with turned kernels
    therefore computes what it computes in PyTorch.
    """

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.reverse(inputs, axis=[1, 2])


@register_ours(bound=bounds.adds, elementwise=True, torch={"bias": TorchWeight("bias", IMAGE_AXES)})
class Bias(tf.keras.layers.Layer):
    """A trained shift for each channel, [batch, height, width, channels] (BNext's learnable bias)."""

    @override
    def build(self, input_shape: Any) -> None:
        # Four dimensions, as in the released code, whose weight decay depends on their number.
        self.bias = self.add_weight("bias", (1, 1, 1, input_shape[-1]), initializer="zeros")
        super().build(input_shape)

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs + self.bias


@register_ours(bound=_mix_bound, elementwise=True, torch={"share": TorchWeight("", IMAGE_AXES)})
class Mix(tf.keras.layers.Layer):
    """s * a + (1 - s) * b with a trained share s for each channel, 0.5 at first (BNext, figure 3c).

    BNext mixes feature maps and then takes their mean. The mean is linear, so this layer mixes the means:
    the result is the same, without computing a feature map that nothing else needs.

    The inputs a and b have the same shape, [batch, 1, 1, channels].
    """

    @override
    def build(self, input_shape: Any) -> None:
        self.share = self.add_weight(
            "share",
            (1, 1, 1, input_shape[0][-1]),  # four dimensions, as those of Bias
            initializer=tf.keras.initializers.Constant(0.5),
            constraint=quantizers.Clip(0.0, 1.0),
        )
        super().build(input_shape)

    @override
    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        a, b = inputs
        return b + self.share * (a - b)


@register_ours
class GroupedConv2D(tf.keras.layers.Conv2D):
    """`Conv2D(groups=g)`, computed as g convolutions side by side.

    The weights are those of `Conv2D(groups=g)`. TensorFlow's own grouped convolution takes 3 to 4
    times as long to train on a CPU, and without XNNPACK TFLite has only a slow reference kernel for it.
    """

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # The base class compiles every grouped convolution with XLA, as TensorFlow has no kernel on CPUs.
        outputs = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(outputs)

    @override
    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Each group of channels with its part of the kernel."""
        pairs = zip(
            tf.split(inputs, self.groups, axis=-1),
            tf.split(kernel, self.groups, axis=-1),
            strict=True,
        )
        padding, dilations = self.padding.upper(), self.dilation_rate
        return tf.concat(
            [tf.nn.convolution(x, k, self.strides, padding, dilations=dilations) for x, k in pairs], axis=-1
        )


@register_ours(moves=True)
class ChannelShuffle(tf.keras.layers.Layer):
    """Interleave the channels of `groups` consecutive parts (ShuffleNet; MeliusNet, section 3.2).

    Output channel j * groups + i is input channel i * (C / groups) + j.
    """

    def __init__(self, groups: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = groups

    @override
    def build(self, input_shape: Any) -> None:
        if input_shape[-1] % self.groups:
            raise UserError(
                f"ChannelShuffle needs channels in multiples of {self.groups}. Received: {input_shape[-1]}."
            )
        super().build(input_shape)

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        height, width, channels = inputs.shape[1:]
        if height is None or width is None:
            height, width = tf.unstack(tf.shape(inputs)[1:3])
        parts = tf.reshape(inputs, [-1, height * width, self.groups, channels // self.groups])
        return tf.reshape(tf.transpose(parts, [0, 1, 3, 2]), [-1, height, width, channels])

    @override
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups}
