"""Layers that a user leaves unchecked: they alone are exempt, and the report says so."""

import itertools

import pytest
import tensorflow as tf

from bnn_keras import deploy, status
from bnn_keras.errors import UserError
from bnn_keras.tflite.flatbuffer import Flatbuffer
from tests.networks import binary_conv, images, network_around

keras = tf.keras.layers


def with_unknown(x):
    x = binary_conv(name="binary")(keras.Conv2D(8, 3, name="before")(x))
    x = keras.Conv2D(8, 1, activation=tf.math.sin, name="wave")(keras.BatchNormalization(name="between")(x))
    return keras.Conv2D(8, 3, name="after")(x)  # fused with the BatchNorm that follows


@pytest.fixture(scope="module")
def converted():
    model = network_around(with_unknown, 8)
    return model, *deploy.convert(model, images(1, 8), unchecked=["wave"])


def test_the_layer_alone_is_left_out(converted):
    _, _, report = converted
    names = {tap.name.rstrip("_0123456789") for tap in report.taps}
    assert {"before", "between", "batch_normalization", "output"} <= names and "wave" not in names
    assert report.unchecked == ["wave"] and "not checked, as asked: wave" in deploy.lines(report)
    assert [layer.name for layer in report.layers] == ["binary"]


@pytest.mark.parametrize("name", ["before", "after", "wave"])
def test_everything_else_is_as_strict_as_before(converted, name):
    model, flatbuffer, _ = converted
    file = Flatbuffer(flatbuffer)
    kernel = model.get_layer(name).get_weights()[0]
    shape = (kernel.shape[-1], *kernel.shape[:-1])
    op = next(op for op in file.ops if op.name == "CONV_2D" and file.shape(op.inputs[1]) == shape)
    file.set_constant(op.inputs[1], -file.constant(op.inputs[1]))
    report = deploy.verify(model, file.pack(), images(1, 8), unchecked=["wave"])
    refused = {"before": ["before"], "after": ["batch_normalization"], "wave": []}[name]
    assert [tap.name.rstrip("_0123456789") for tap in report.taps if tap.problem] == refused


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wafe", "--unchecked=wafe: the model has no layer of this name"),
        ("before", "--unchecked=before: the rounding of this layer has a known bound"),
        ("binary", "--unchecked=binary: a layer with binary weights or inputs is always checked"),
    ],
)
def test_a_layer_that_cannot_be_left_out_is_named(converted, name, message):
    with pytest.raises(UserError, match=message):
        deploy.convert(converted[0], images(1, 8), unchecked=["wave", name])


def test_progress_is_shown_on_demand(converted, monkeypatch):
    model, flatbuffer, _ = converted
    shown, clock = [], itertools.count(0, 31)
    monkeypatch.setattr(status, "show", shown.append)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    deploy.verify(model, flatbuffer, images(1, 8), unchecked=["wave"])
    assert not shown
    deploy.convert(model, images(1, 8), unchecked=["wave"], shows_progress=True)
    total = len(shown)
    assert shown == [f"verifying, stages: {done} of {total}" for done in range(total)] and total > 3
