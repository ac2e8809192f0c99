"""The ends of paths: what passes in training and outside of it, and in a file."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import deploy
from bnn_keras.nn import layers
from bnn_keras.nn.drop_path import DropPath, ends_of_paths
from tests.networks import images

FACTORS = np.array([0.0, 2.0], np.float32).reshape(2, 1, 1, 1)


def network():
    image = tf.keras.Input((32, 32, 3))
    x = tf.keras.layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(image)
    y = DropPath(name="path")(layers.binary_conv(8, 3, name="binary")(x))
    x = tf.keras.layers.GlobalAveragePooling2D()(tf.keras.layers.Add()([x, y]))
    return tf.keras.Model(image, tf.keras.layers.Dense(4)(x))


def test_the_feature_map_of_an_image_is_dropped_or_scaled():
    layer, asked = DropPath(name="path"), []
    x = images(2, 32)
    layer.factors = lambda name, inputs: asked.append((name, inputs.shape)) or FACTORS
    np.testing.assert_array_equal(layer(x, training=True), x * FACTORS)
    assert asked == [("path", (2, 32, 32, 3))]


@pytest.mark.parametrize(("factors", "training"), [(None, True), (lambda name, inputs: FACTORS, False)])
def test_nothing_is_computed_outside_of_a_training_that_drops(factors, training):
    layer = DropPath()
    layer.factors = factors

    @tf.function
    def call(x):
        return layer(x, training=training)

    graph = call.get_concrete_function(tf.TensorSpec((None, 8, 8, 3))).graph
    assert {node.type for node in graph.get_operations()} == {"Placeholder", "Identity"}


def test_the_ends_of_paths_are_found_also_in_a_model_within_a_model():
    inner = network()
    image = tf.keras.Input((32, 32, 3))
    outer = tf.keras.Model(image, inner(image))
    assert [layer.name for layer in ends_of_paths(outer)] == ["path"]


def test_a_file_has_no_trace_of_them(tmp_path):
    model = network()
    without = tf.keras.models.clone_model(
        model,
        clone_function=lambda layer: (
            tf.keras.layers.Activation("linear", name="path")
            if isinstance(layer, DropPath)
            else type(layer).from_config(layer.get_config())
        ),
    )
    without.set_weights(model.get_weights())
    file, report = deploy.convert(model, images(1, 32))
    assert len(report.layers) == 1 and not report.problems
    assert len(file) == len(deploy.convert(without, images(1, 32))[0])
