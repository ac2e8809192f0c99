"""What every network of the MeliusNet paper shares: its stems, its layers' settings, its head."""

import dataclasses

import tensorflow as tf

from bnn_keras.errors import one_of
from bnn_keras.nn import layers

# All three code bases use these; Keras's defaults differ.
BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5
STEMS = ("grouped", "conv7x7", "thumbnail")
SHUFFLE_GROUPS = 16  # of the shuffle before a grouped transition, whatever that one's groups


def he_normal() -> tf.keras.initializers.Initializer:
    """Untruncated normal with standard deviation sqrt(2 / fan_in), as the released code draws."""
    return tf.keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")


def batch_norm(x, name: str, epsilon: float = BN_EPSILON, scale: bool = True):
    return tf.keras.layers.BatchNormalization(momentum=BN_MOMENTUM, epsilon=epsilon, scale=scale, name=name)(
        x
    )


def relu(x, name: str):
    return tf.keras.layers.ReLU(name=name)(x)


def conv(x, filters: int, kernel_size: int, name: str, strides: int = 1, groups: int = 1):
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
    x,
    filters: int,
    name: str,
    strides: int = 1,
    binary: bool = True,
    pad_values: float = 0.0,
    kernel_clip: float | None = None,
):
    """The 3x3 convolution of a block: sign and binary, or ReLU and 32-bit in the twin.

    Args:
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
        kernel_clip=kernel_clip,
        kernel_initializer=he_normal(),
        name=f"{name}/conv",
    )(x)


def max_pool(x, size: int, name: str):
    return tf.keras.layers.MaxPooling2D(size, strides=2, padding="same", name=name)(x)


def dense_block(x, growth: int, name: str, **conv_options):
    """A dense block (MeliusNet, section 3.1; BinaryDenseNet, section 3.4).

    Returns:
        The feature map with `growth` channels more, and these alone.
    """
    new = activated_conv(batch_norm(x, f"{name}/bn"), growth, name, **conv_options)
    return tf.keras.layers.Concatenate(name=name)([x, new]), new


def transition(x, filters: int, name: str, groups: int = 1, convolve_first: bool = False):
    """Halve the feature map's edge and about halve its channels, in 32 bits (MeliusNet, section 3.1).

    Args:
        groups: of the convolution.
        convolve_first: the 32-bit DenseNet's order, which pools averages behind the convolution at
            four times the cost.
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


def average_pool(x, name: str):
    return tf.keras.layers.AveragePooling2D(2, padding="same", name=name)(x)


def stem(x, kind: str, pool: int = 3, name: str = "stem"):
    """The first layers, 32-bit (MeliusNet, section 3.2, figure 2).

    Args:
        kind: "grouped", "conv7x7" (the original), or "thumbnail" (one 3x3 convolution, for images
            of 32 pixels).
        pool: edge of the max pooling window; the paper has 3.

    Returns:
        64 channels at a quarter of the input's edge ("thumbnail": at its full edge).
    """
    if kind == "thumbnail":
        return conv(x, 64, 3, name)
    if kind == "conv7x7":
        x = relu(batch_norm(conv(x, 64, 7, f"{name}/conv", strides=2), f"{name}/bn"), f"{name}/relu")
    elif kind == "grouped":
        for i, (filters, strides, groups) in enumerate(((32, 2, 1), (32, 1, 4), (64, 1, 8)), start=1):
            x = conv(x, filters, 3, f"{name}/conv{i}", strides, groups)
            x = relu(batch_norm(x, f"{name}/bn{i}"), f"{name}/relu{i}")
    else:
        raise one_of("stem", kind, STEMS)
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

    def __call__(self, x, name: str = "head", initializer=None):
        """The head behind x.

        Args:
            initializer: makes one of fan_in, for its kernel and its bias; None is he_normal, and 0.
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
