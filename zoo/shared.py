"""What the networks share that compare with MeliusNet: their settings, stems, blocks and head."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn import layers
from bnn_keras.settings.kinds import Choice, Number, Numbers, Optional, Setting, Switch

# All three code bases use these values; Keras's defaults differ.
BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5
SHUFFLE_GROUPS = 16  # of the shuffle before a grouped transition, whatever that convolution's groups

# Settings of several families, under one name and of one kind.
THUMBNAIL = "thumbnail"  # the stem for images of 32 pixels
COUNT = Number(1, 65536, whole=True)
STEM = Setting("first layers", Choice(("grouped", "conv7x7", THUMBNAIL)))
STEM_POOL = Setting("edge of the window of the stem's pooling", Number(1, 32, whole=True))
BLOCKS = Setting("blocks in each section", Numbers(Number(1, 100, whole=True)))
CHANNELS = Setting("channels of each section or transition", Numbers(COUNT))
GROWTH = Setting("channels that a dense block adds", COUNT)
CONVOLVE_FIRST = Setting("transitions convolve before they pool", Switch())
BINARY = Setting("false gives the 32-bit twin", Switch())
PAD_VALUES = Setting("what binary convolutions pad with", Choice((0.0, 1.0, -1.0)))
ACTIVATION_CLIP = 1.3  # the gradient of an activation's sign is passed where |x| is no larger
KERNEL_CLIP = Setting("largest latent weight of a binary kernel", Optional(Number(0, open_low=True)))
GROUPS = tuple(2**i for i in range(SHUFFLE_GROUPS.bit_length()))  # that divide the shuffle's
CONV_SETTINGS = {"binary": BINARY, "pad_values": PAD_VALUES, "kernel_clip": KERNEL_CLIP}
STEM_SETTINGS = {"stem": STEM, "stem_pool": STEM_POOL}


def check_transitions(settings: Mapping[str, Any]) -> None:
    """Raise UserError unless there is a transition between every two sections, with whole groups."""
    blocks, channels, groups = settings["blocks"], settings["channels"], settings.get("groups", 1)
    if len(channels) != len(blocks) - 1:
        raise UserError(
            f"channels has a number for each of the {len(blocks) - 1} transitions between the sections of "
            f"blocks={blocks}. Received: channels={channels}."
        )
    if any(number % groups for number in channels):
        raise UserError(f"channels must be multiples of groups={groups}. Received: channels={channels}.")


def check_sections(settings: Mapping[str, Any]) -> None:
    """Raise UserError unless every section has its number of blocks and of channels."""
    if len(settings["blocks"]) != len(settings["channels"]):
        raise UserError(
            f"blocks and channels have a number for each section. Received: blocks={settings['blocks']}, "
            f"channels={settings['channels']}."
        )


def he_normal() -> tf.keras.initializers.Initializer:
    """Untruncated normal with standard deviation sqrt(2 / fan_in), as the released code draws."""
    return tf.keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")


def batch_norm(
    x: tf.Tensor, name: str, epsilon: float = BN_EPSILON, scale: bool = True, center: bool = True
) -> tf.Tensor:
    """BatchNorm with the momentum and epsilon of the authors' code."""
    return tf.keras.layers.BatchNormalization(
        momentum=BN_MOMENTUM, epsilon=epsilon, scale=scale, center=center, name=name
    )(x)


def relu(x: tf.Tensor, name: str) -> tf.Tensor:
    """A ReLU as a layer of its own."""
    return tf.keras.layers.ReLU(name=name)(x)


def conv(
    x: tf.Tensor, filters: int, kernel_size: int, name: str, strides: int = 1, groups: int = 1
) -> tf.Tensor:
    """A 32-bit convolution without bias, 'same' padding."""
    layer = tf.keras.layers.Conv2D if groups == 1 else layers.GroupedConv2D
    return layer(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        groups=groups,
        use_bias=False,
        kernel_initializer=he_normal(),
        name=name,
    )(x)


def activated_conv(
    x: tf.Tensor,
    filters: int,
    name: str,
    strides: int = 1,
    binary: bool = True,
    pad_values: float = 0.0,
    kernel_clip: float | None = None,
) -> tf.Tensor:
    """The 3x3 convolution of a block: sign and binary, or in the twin ReLU and 32-bit.

    Args:
        x: what the convolution is applied to.
        filters: output channels.
        name: of the block.
        strides: step in pixels.
        binary: False gives the 32-bit twin, which pads with 0 and clips nothing.
        pad_values, kernel_clip: see `bnn_keras.nn.layers.binary_conv`.
    """
    if not binary:
        return conv(relu(x, f"{name}/relu"), filters, 3, f"{name}/conv", strides)
    return layers.binary_conv(
        filters,
        3,
        strides=strides,
        pad_values=pad_values,
        activation_clip=ACTIVATION_CLIP,
        kernel_clip=kernel_clip,
        kernel_initializer=he_normal(),
        name=f"{name}/conv",
    )(x)


def max_pool(x: tf.Tensor, size: int, name: str) -> tf.Tensor:
    """The maxima of windows of `size` pixels, at half the edge."""
    return tf.keras.layers.MaxPooling2D(size, strides=2, padding="same", name=name)(x)


def average_pool(x: tf.Tensor, name: str) -> tf.Tensor:
    """The means of windows of 2x2 pixels, at half the edge."""
    return tf.keras.layers.AveragePooling2D(2, padding="same", name=name)(x)


def dense_block(x: tf.Tensor, growth: int, name: str, **conv_options: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """A dense block (MeliusNet, section 3.1; BinaryDenseNet, section 3.4).

    Returns:
        The feature map with `growth` more channels, and these channels alone.
    """
    new = activated_conv(batch_norm(x, f"{name}/bn"), growth, name, **conv_options)
    return tf.keras.layers.Concatenate(name=name)([x, new]), new


def transition(
    x: tf.Tensor, filters: int, name: str, groups: int = 1, convolve_first: bool = False
) -> tf.Tensor:
    """Halve the edge of the feature map and about halve its channels, in 32 bits (MeliusNet, section 3.1).

    Args:
        x: the feature map.
        filters: output channels.
        name: of the transition.
        groups: of the convolution.
        convolve_first: the order of the 32-bit DenseNet, which pools averages after the convolution,
            at four times the cost.
    """
    x = batch_norm(x, f"{name}/bn")
    if not convolve_first:
        x = max_pool(x, 2, f"{name}/pool")
    x = relu(x, f"{name}/relu")
    if groups > 1:
        x = layers.ChannelShuffle(SHUFFLE_GROUPS, name=f"{name}/shuffle")(x)
    if not convolve_first:
        return conv(x, filters, 1, name, groups=groups)
    return average_pool(conv(x, filters, 1, f"{name}/conv", groups=groups), name)


def dense_sections(
    x: tf.Tensor,
    block: Callable[..., tf.Tensor],
    growth: int,
    blocks: tuple[int, ...],
    channels: tuple[int, ...],
    groups: int = 1,
    convolve_first: bool = False,
    **conv_options: Any,
) -> tf.Tensor:
    """Sections of growing blocks with transitions between them, and the BatchNorm and ReLU of the head.

    Args:
        x: what the stem gives.
        block: puts a block after x: `block(x, growth, name, **conv_options)`.
        blocks: number of blocks in each section.
        channels: after the transition that ends each section but the last.
        growth, conv_options: of the blocks.
        groups, convolve_first: see `transition`.
    """
    for section, depth in enumerate(blocks, start=1):
        for number in range(1, depth + 1):
            x = block(x, growth, f"section{section}_block{number}", **conv_options)
        if section < len(blocks):
            name = f"section{section}_transition"
            x = transition(x, channels[section - 1], name, groups, convolve_first)
    return relu(batch_norm(x, "head/bn"), "head/relu")


def stem(x: tf.Tensor, kind: str, pool: int = 3, name: str = "stem") -> tf.Tensor:
    """The first layers, in 32 bits (MeliusNet, section 3.2, figure 2).

    Args:
        x: images.
        kind: "grouped", "conv7x7" (ResNet's), or "thumbnail" (one 3x3 convolution, for images of 32
            pixels).
        pool: edge of the window of the max pooling; the paper has 3.
        name: of the stage.

    Returns:
        64 channels at a quarter of the input's edge ("thumbnail": at its full edge).
    """
    if kind == THUMBNAIL:
        return conv(x, 64, 3, name)
    if kind == "conv7x7":
        x = relu(batch_norm(conv(x, 64, 7, f"{name}/conv", strides=2), f"{name}/bn"), f"{name}/relu")
    else:
        for i, (filters, strides, groups) in enumerate(((32, 2, 1), (32, 1, 4), (64, 1, 8)), start=1):
            x = conv(x, filters, 3, f"{name}/conv{i}", strides, groups)
            x = relu(batch_norm(x, f"{name}/bn{i}"), f"{name}/relu{i}")
    return max_pool(x, pool, name)


@dataclasses.dataclass(frozen=True)
class Head:
    """Average pooling and a dense layer with bias.

    Args:
        classes: outputs of the dense layer.
        include_top: False leaves the feature map as it is.
        activation: None gives logits.
    """

    classes: int = 1000
    include_top: bool = True
    activation: str | None = None

    def __call__(
        self,
        x: tf.Tensor,
        name: str = "head",
        initializer: Callable[[int], tf.keras.initializers.Initializer] | None = None,
    ) -> tf.Tensor:
        """Put the head after x.

        Args:
            x: the last feature map.
            name: of the dense layer.
            initializer: makes the initializer of kernel and bias from fan_in; None is he_normal for
                the kernel and 0 for the bias.
        """
        if not self.include_top:
            return x
        x = tf.keras.layers.GlobalAveragePooling2D(name=f"{name}/pool")(x)
        x = tf.keras.layers.Dense(
            self.classes,
            kernel_initializer=initializer(x.shape[-1]) if initializer else he_normal(),
            bias_initializer=initializer(x.shape[-1]) if initializer else "zeros",
            name=name,
        )(x)
        return tf.keras.layers.Activation(self.activation, name="probabilities")(x) if self.activation else x
