"""Keras layers of our own: registered, without Lambda, loadable without the zoo."""

import logging
from collections.abc import Sequence

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn import quantizers
from bnn_keras.nn.convolution import QuantConv2D

# Larq warns of every binary kernel without a constraint; that holds for cut gradients only, and
# the papers' kernels have a plain straight-through gradient.
logging.getLogger("larq.layers_base").addFilter(
    lambda record: "without setting `kernel_constraint`" not in record.getMessage()
)

register = tf.keras.utils.register_keras_serializable(package="bnn_keras")


def binary_conv(
    filters: int,
    kernel_size: int,
    *,
    strides: int = 1,
    pad_values: float = 0.0,
    activation_clip: float = quantizers.MELIUSNET_CLIP,
    kernel_clip: float | None = None,
    kernel_initializer: str | tf.keras.initializers.Initializer = "glorot_normal",
    name: str | None = None,
) -> QuantConv2D:
    """A convolution of signs with signs: Larq's `QuantConv2D`, 'same' padding, no bias.

    Args:
        filters: output channels.
        kernel_size: edge of the kernel in pixels.
        strides: step in pixels.
        pad_values: what the border holds: 0 (every paper here), 1, or -1 (which LCE leaves float).
        activation_clip, kernel_clip: see `bnn_keras.nn.quantizers`.
        kernel_initializer: of the latent weights.
        name: of the layer.
    """
    return QuantConv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        pad_values=pad_values,
        use_bias=False,
        input_quantizer=quantizers.activation_sign(activation_clip),
        kernel_quantizer=quantizers.kernel_sign(kernel_clip),
        kernel_constraint=quantizers.kernel_constraint(kernel_clip),
        kernel_initializer=kernel_initializer,
        name=name,
    )


def progressive_conv(
    filters: int,
    kernel_size: int,
    *,
    strides: int = 1,
    pad_values: float = 0.0,
    kernel_clip: float = quantizers.BNEXT_CLIP,
    hard_below: float = quantizers.BNEXT_HARD_BELOW,
    name: str | None = None,
) -> QuantConv2D:
    """A binary convolution whose kernel becomes binary while it is trained (BNext, section 5.1).

    Args:
        filters, kernel_size, strides, pad_values, name: as for `binary_conv`.
        kernel_clip: the largest latent weight.
        hard_below: see `bnn_keras.nn.quantizers.ProgressiveSign`.
    """
    return QuantConv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        pad_values=pad_values,
        use_bias=False,
        input_quantizer=quantizers.activation_sign(quantizers.BNEXT_CLIP),
        kernel_quantizer=quantizers.ProgressiveSign(hard_below),
        kernel_constraint=quantizers.kernel_constraint(kernel_clip),
        kernel_initializer=tf.keras.initializers.RandomNormal(stddev=0.001),
        name=name,
    )


@register
class Normalize(tf.keras.layers.Layer):
    """(x - mean) / std per channel, without weights: the model takes RGB in [0, 255].

    Args:
        mean, std: one number a channel, on the scale of the input.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], **kwargs):
        super().__init__(**kwargs)
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise UserError(
                f"Normalize needs as many positive stds as means. Received: mean={mean}, std={std}."
            )
        self.mean, self.std = [float(m) for m in mean], [float(s) for s in std]

    def call(self, inputs):
        mean = tf.constant(self.mean, inputs.dtype)
        return (inputs - mean) * tf.constant([1 / s for s in self.std], inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "std": self.std}


@register
class Rotate180(tf.keras.layers.Layer):
    """Turn images upside down, [batch, height, width, channels].

    PyTorch's symmetric padding of strided convolutions is TensorFlow's 'same' padding of the image and
    the kernels turned so: behind this layer a network of turned kernels computes what PyTorch computes.
    """

    def call(self, inputs):
        return tf.reverse(inputs, axis=[1, 2])


@register
class Bias(tf.keras.layers.Layer):
    """A shift for each channel, trained, [batch, height, width, channels] (BNext's learnable bias)."""

    def build(self, input_shape):
        # Four dimensions, as in the released code, whose optimizer goes by their number.
        self.bias = self.add_weight("bias", (1, 1, 1, input_shape[-1]), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs):
        return inputs + self.bias


@register
class Mix(tf.keras.layers.Layer):
    """s * a + (1 - s) * b with a share s for each channel, trained, from 0.5 (BNext, figure 3c).

    BNext mixes feature maps and then takes their mean. The mean is linear, so here the means are mixed:
    the same numbers, without a feature map that is needed for nothing else.

    Takes a and b of one shape, [batch, 1, 1, channels].
    """

    def build(self, input_shape):
        self.share = self.add_weight(
            "share",
            (1, 1, 1, input_shape[0][-1]),  # four dimensions, as those of Bias
            initializer=tf.keras.initializers.Constant(0.5),
            constraint=quantizers.Clip(0.0, 1.0),
        )
        super().build(input_shape)

    def call(self, inputs):
        a, b = inputs
        return b + self.share * (a - b)


@register
class GroupedConv2D(tf.keras.layers.Conv2D):
    """`Conv2D(groups=g)` computed as g convolutions side by side.

    The weights are those of `Conv2D(groups=g)`. TensorFlow's own grouped convolution takes 3 to 4
    times as long to train on a CPU, and TFLite's without XNNPACK falls to a reference kernel.
    """

    def call(self, inputs):
        # The base class compiles any grouped convolution with XLA, for want of a kernel on CPUs.
        outputs = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(outputs)

    def convolution_op(self, inputs, kernel):
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


@register
class ChannelShuffle(tf.keras.layers.Layer):
    """Interleave the channels of `groups` consecutive parts (ShuffleNet; MeliusNet, section 3.2).

    Output channel j * groups + i is input channel i * (C / groups) + j.
    """

    def __init__(self, groups: int, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups

    def build(self, input_shape):
        if input_shape[-1] % self.groups:
            raise UserError(
                f"ChannelShuffle needs channels in multiples of {self.groups}. Received: {input_shape[-1]}."
            )
        super().build(input_shape)

    def call(self, inputs):
        height, width, channels = inputs.shape[1:]
        if height is None or width is None:
            height, width = tf.unstack(tf.shape(inputs)[1:3])
        parts = tf.reshape(inputs, [-1, height * width, self.groups, channels // self.groups])
        return tf.reshape(tf.transpose(parts, [0, 1, 3, 2]), [-1, height, width, channels])

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}
