"""Functions that are saved with their weights as constants."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.deploy.conversion import frozen
from bnn_keras.errors import UserError

IMAGE = tf.TensorSpec((2, 3), tf.float32, name="image")
WEIGHTS = np.arange(6, dtype=np.float32).reshape(3, 2)


def load(folder):
    return tf.saved_model.load(str(folder)).signatures["serving_default"]


def test_variables_constants_and_nested_functions_are_in_the_file(tmp_path):
    kernel, large = tf.Variable(WEIGHTS), tf.constant(np.arange(200.0, dtype=np.float32))

    @tf.function
    def nested(x):
        return x @ kernel

    def function(image):
        return {"a": nested(image) + large[7], "b": image * 2}

    frozen.save(function, IMAGE, tmp_path, "model")
    kernel.assign(0 * WEIGHTS)
    image = np.float32([[1, 2, 3], [4, 5, 6]])
    found = load(tmp_path)(image=tf.constant(image))
    np.testing.assert_array_equal(found["a"], image @ WEIGHTS + 7)
    np.testing.assert_array_equal(found["b"], 2 * image)
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model.pb"]


def test_functions_are_run_as_before_afterwards(tmp_path):
    def fails(image):
        raise RuntimeError("no graph")

    with pytest.raises(RuntimeError, match="no graph"):
        frozen.save(fails, IMAGE, tmp_path, "model")
    assert not tf.config.functions_run_eagerly()


def test_an_operation_on_a_variable_itself(tmp_path):
    table = tf.Variable(WEIGHTS, name="table")

    def function(image):
        return {"a": tf.gather(table, [0, 1]) + image[:, :2]}

    with pytest.raises(
        UserError, match="model cannot be converted: an operation ResourceGather takes the variable table:0"
    ):
        frozen.save(function, IMAGE, tmp_path, "model")


def test_weights_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(frozen, "LARGEST", 4)
    kernel = tf.Variable(WEIGHTS)
    with pytest.raises(UserError, match=r"model has 0.00 GiB of weights; at most 0.00 can be converted"):
        frozen.save(lambda image: {"a": image @ kernel}, IMAGE, tmp_path, "model")
    assert not list(tmp_path.iterdir())
