"""Shared by the tests of networks."""

import pytest
import tensorflow as tf


@pytest.fixture
def float64():
    """Networks compute in float64."""
    tf.keras.backend.set_floatx("float64")
    yield
    tf.keras.backend.set_floatx("float32")
    tf.keras.backend.clear_session()
