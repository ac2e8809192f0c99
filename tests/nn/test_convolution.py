"""Convolutions by matrices: the same function and gradients, only in training and only where it pays."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.nn import convolution

SHAPES = [
    # height, width, kernel, stride
    (2, 2, 3, 1),
    (4, 4, 3, 2),
    (5, 7, 3, 2),
    (5, 3, 5, 1),
    (4, 5, 1, 2),
    (2, 3, 1, 1),
    (7, 6, 2, 2),
    (1, 1, 3, 1),
    (2, 5, 3, 3),
]


@pytest.mark.parametrize(("height", "width", "edge", "stride"), SHAPES)
def test_the_product_is_the_convolution(height, width, edge, stride):
    random = np.random.default_rng(0)
    images, kernel = (
        tf.constant(random.normal(size=shape)) for shape in ((3, height, width, 5), (edge, edge, 5, 6))
    )
    results = []
    for convolve in (
        lambda: tf.nn.conv2d(images, kernel, stride, "SAME"),
        lambda: convolution.by_matrices(images, kernel, (stride, stride)),
    ):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            outputs = convolve()
            loss = tf.reduce_sum(outputs**2)
        results.append([outputs, *tape.gradient(loss, [images, kernel])])
    for theirs, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def operations(layer, shape, training) -> set[str]:
    """Kinds of operations that a layer is computed with."""
    function = tf.function(lambda x: layer(x, training=training)).get_concrete_function(tf.TensorSpec(shape))
    return {operation.type for operation in function.graph.get_operations()} & {"Conv2D", "MatMul"}


@pytest.mark.parametrize("layer", [convolution.Conv2D, convolution.QuantConv2D])
def test_it_stays_a_convolution_but_for_training_on_few_pixels(layer):
    same = {"padding": "same"}
    assert operations(layer(8, 3, **same), (4, 2, 2, 3), training=True) == {"MatMul"}
    assert operations(layer(8, 3, strides=2, **same), (4, 4, 4, 3), training=True) == {"MatMul"}
    for other in ({"padding": "valid"}, {"dilation_rate": 2, **same}):
        assert operations(layer(8, 2, **other), (1, 3, 3, 3), training=True) == {"Conv2D"}, other
    # One pixel more than twice as many as filters; unknown batches; inference.
    assert operations(layer(8, 3, **same), (17, 1, 1, 3), training=True) == {"Conv2D"}
    assert operations(layer(8, 3, **same), (None, 1, 1, 3), training=True) == {"Conv2D"}
    assert operations(layer(8, 3, **same), (4, 2, 2, 3), training=False) == {"Conv2D"}


@pytest.mark.parametrize("options", [{"use_bias": True, "activation": "relu"}, {"pad_values": 1.0}], ids=str)
def test_a_layer_trains_on_few_pixels_as_larqs_does(options):
    sign = lq.quantizers.SteSign(1.3)
    settings = dict(padding="same", input_quantizer=sign, kernel_quantizer=sign, **options)
    images = tf.constant(np.random.default_rng(0).normal(size=(4, 2, 2, 3)), tf.float32)
    results, weights = [], None
    for kind in (lq.layers.QuantConv2D, convolution.QuantConv2D):
        layer = kind(8, 3, bias_initializer="ones", **settings)
        layer.build(images.shape)
        weights = weights or layer.get_weights()
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=True)
            loss = tf.reduce_sum(outputs**2)
        results.append([outputs, *tape.gradient(loss, [images, *layer.trainable_weights])])
    for theirs, ours in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)
