"""Layers and quantizers against plain TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn import layers, normalization, quantizers

keras = tf.keras.layers


def test_sign_is_plus_one_at_zero_and_cuts_the_gradient():
    x = tf.Variable([-2.0, -1.3, -0.5, -0.0, 0.0, 0.5, 1.3, 2.0])
    for quantizer, passed in (
        (quantizers.activation_sign(1.3), [0, 1, 1, 1, 1, 1, 1, 0]),
        (quantizers.kernel_sign(), [1] * 8),
        (quantizers.kernel_sign(1.3), [0, 1, 1, 1, 1, 1, 1, 0]),
    ):
        with tf.GradientTape() as tape:
            signs = quantizer(x)
        np.testing.assert_array_equal(signs, [-1, -1, -1, 1, 1, 1, 1, 1])
        np.testing.assert_array_equal(tape.gradient(signs, x), passed)


def test_only_the_clipped_reading_constrains_the_kernel():
    assert layers.binary_conv(2, 3).kernel_constraint is None
    clipped = layers.binary_conv(2, 3, kernel_clip=1.3).kernel_constraint
    np.testing.assert_allclose(clipped(tf.constant([-2.0, 0.5, 2.0])), [-1.3, 0.5, 1.3])


@pytest.mark.parametrize("pad_values", [0.0, 1.0, -1.0])
def test_a_binary_layer_is_the_float_layer_with_signs(pad_values):
    x = np.random.default_rng(0).normal(size=(2, 7, 7, 5)).astype(np.float32)
    layer = layers.binary_conv(4, 3, pad_values=pad_values)
    layer.build(x.shape)
    signs = np.pad(np.where(x >= 0, 1, -1), [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=pad_values)
    kernel = np.where(layer.get_weights()[0] >= 0, 1, -1)
    expected = tf.nn.conv2d(signs.astype(np.float32), kernel.astype(np.float32), 1, "VALID")
    np.testing.assert_array_equal(layer(x), expected)


@pytest.mark.parametrize(
    "settings", [{}, {"strides": 2}, {"padding": "valid"}, {"activation": "relu"}], ids=str
)
def test_grouped_convolution_is_kerass(settings):
    x = np.random.default_rng(0).normal(size=(2, 9, 9, 12)).astype(np.float32)
    ours = layers.GroupedConv2D(8, 3, groups=4, **settings)
    theirs = keras.Conv2D(8, 3, groups=4, **settings)
    ours(x), theirs(x)
    theirs.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in theirs.get_weights()])
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize("fixed_size", [True, False])
def test_channel_shuffle_interleaves(fixed_size):
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 12)).astype(np.float32)
    image = tf.keras.Input(x.shape[1:] if fixed_size else (None, None, 12))
    shuffled = tf.keras.Model(image, layers.ChannelShuffle(3)(image))(x).numpy()
    for j in range(4):
        for i in range(3):
            np.testing.assert_array_equal(shuffled[..., j * 3 + i], x[..., i * 4 + j])


def test_impossible_layers_say_why():
    with pytest.raises(UserError, match="multiples of 5. Received: 12"):
        layers.ChannelShuffle(5)(tf.zeros((1, 2, 2, 12)))
    with pytest.raises(UserError, match="as many positive stds"):
        layers.Normalize([1, 2, 3], [1, 0, 1])
    with pytest.raises(UserError, match="Unknown normalization 'mnist'; valid: imagenet2012"):
        normalization.constants("mnist")


def test_normalize_is_exact_in_float64_and_survives_saving(tmp_path):
    mean, std = normalization.constants(None)
    image = tf.keras.Input((2, 2, 3))
    tf.keras.Model(image, layers.Normalize(mean, std)(image)).save(tmp_path / "n.keras")
    x = np.random.default_rng(0).uniform(0, 255, (1, 2, 2, 3))
    model = tf.keras.models.load_model(tmp_path / "n.keras")
    np.testing.assert_allclose(model(x), (x - mean) / std, rtol=1e-5, atol=1e-5)
    assert normalization.constants("none") is None
    assert normalization.constants(((0, 0, 0), (1, 1, 1))) == ((0, 0, 0), (1, 1, 1))
