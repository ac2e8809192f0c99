"""Layers as PyTorch makes them by default, for networks whose authors' code is in PyTorch."""

import tensorflow as tf

from bnn_keras.nn import convolution

SLOPE = 0.25  # of a PReLU at first


def uniform(fan_in: int) -> tf.keras.initializers.Initializer:
    """PyTorch's default for the kernels and biases of convolutions and dense layers."""
    return tf.keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def conv(
    x: tf.Tensor,
    filters: int,
    kernel_size: int,
    name: str,
    strides: int = 1,
    use_bias: bool = False,
    dilation: int = 1,
) -> tf.Tensor:
    """A 32-bit convolution, 'same' padding."""
    fan_in = kernel_size**2 * x.shape[-1]
    return convolution.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        dilation_rate=dilation,
        use_bias=use_bias,
        kernel_initializer=uniform(fan_in),
        bias_initializer=uniform(fan_in),
        name=name,
    )(x)


def prelu(x: tf.Tensor, name: str) -> tf.Tensor:
    """A PReLU with a slope for each channel."""
    slope = tf.keras.initializers.Constant(SLOPE)
    return tf.keras.layers.PReLU(alpha_initializer=slope, shared_axes=[1, 2], name=name)(x)


def mean(x: tf.Tensor, name: str) -> tf.Tensor:
    """The mean over the image, [batch, 1, 1, channels]."""
    return tf.keras.layers.GlobalAveragePooling2D(keepdims=True, name=name)(x)


def multiply(a: tf.Tensor, b: tf.Tensor, name: str) -> tf.Tensor:
    """The product, element by element."""
    return tf.keras.layers.Multiply(name=name)([a, b])
