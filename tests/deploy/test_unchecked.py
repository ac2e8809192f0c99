"""Layers that a user leaves unchecked: they alone are exempt, and the report says so."""

import pytest
import tensorflow as tf

from bnn_keras import deploy
from bnn_keras.deploy.verification.progress import Progress
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


def test_progress_is_one_line_on_a_terminal_and_a_line_every_30_seconds_in_a_log(monkeypatch, capsys):
    times = iter([0, 10, 31, 40])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    log = Progress(9)
    for _ in range(2):
        log.advance()
    assert capsys.readouterr().out == "verifying: 2 of 9 stages\n"
    monkeypatch.setattr("time.monotonic", lambda: 0)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    terminal = Progress(2)
    for _ in range(2):
        terminal.advance()
    assert capsys.readouterr().out == "\rverifying: 1 of 2 stages\rverifying: 2 of 2 stages\n"
