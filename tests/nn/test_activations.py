"""The errors of TFLite's activations, measured, and how steep the functions are."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import deploy
from bnn_keras.nn.activations import FUNCTIONS
from bnn_keras.nn.intervals import UNIT

keras = tf.keras.layers
NAMES = (
    *("elu", "gelu", "hard_sigmoid", "mish", "selu", "sigmoid"),
    *("softplus", "softsign", "swish", "tanh"),
)


def inputs(number):
    rng = np.random.default_rng(0)
    small = np.exp(rng.uniform(np.log(1e-9), np.log(90), number // 4))
    even = np.linspace(-20, 20, number // 4)
    return np.concatenate([small, -small, even, rng.normal(size=number // 4)]).astype(np.float32)


@pytest.fixture(scope="module")
def measured():
    """The inputs, and of every function its result in a file and in float64."""
    x = inputs(20_000)
    image = tf.keras.Input((100, 200, 1))
    outputs = [keras.Activation(name)(image) for name in NAMES]
    flatbuffer = deploy.to_flatbuffer(tf.keras.Model(image, keras.Concatenate()(outputs)))
    found = deploy.run(flatbuffer, x.reshape(1, 100, 200, 1)).reshape(-1, len(NAMES)).astype(np.float64)
    exact = [tf.keras.activations.get(name)(tf.constant(x, tf.float64)).numpy() for name in NAMES]
    return x.astype(np.float64), {name: (found[:, i], exact[i]) for i, name in enumerate(NAMES)}


@pytest.mark.parametrize("name", NAMES)
def test_the_error_is_at_most_half_of_what_is_allowed(measured, name):
    x, values = measured
    found, exact = values[name]
    allowed = FUNCTIONS[name]
    allowance = allowed.of_result * np.abs(exact) + allowed.of_input * np.abs(x) + allowed.absolute
    assert (np.abs(found - exact) <= UNIT * allowance / 2).all()


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.steepest])
def test_the_steepest_slope_is_its_own(name):
    x = np.linspace(-10, 10, 100_001)
    function = tf.nn.silu if name == "silu" else tf.keras.activations.get(name)
    slope = np.abs(np.diff(function(tf.constant(x)).numpy()) / np.diff(x)).max()
    assert 0.98 * FUNCTIONS[name].steepest < slope <= FUNCTIONS[name].steepest
