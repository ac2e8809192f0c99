"""bnn cost: the tables, the difference of two files, and what it refuses."""

import json

import pytest
import tensorflow as tf

from bnn_keras import cli, deploy
from tests.networks import binary_conv, randomise

keras = tf.keras.layers


def file_of(filters, activation=None):
    image = tf.keras.Input((8, 8, 32))
    x = keras.GlobalAveragePooling2D()(binary_conv(filters=filters, name="sum")(image))
    return deploy.to_flatbuffer(randomise(tf.keras.Model(image, keras.Dense(4, activation, name="head")(x))))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, content in (("narrow", file_of(32)), ("wide", file_of(64, "tanh"))):
        (folder / f"{name}.tflite").write_bytes(content)
    return folder


@pytest.fixture
def ask(capsys, files, monkeypatch):
    def run(*arguments):
        monkeypatch.chdir(files)
        status = cli.run(["cost", *arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def row(text, name):
    return next(line.split() for line in text.splitlines() if line.startswith(name))


def test_one_file_has_its_kinds_and_their_sum(ask):
    status, out, _ = ask("narrow.tflite")
    assert status == 0 and "an estimate of instructions, not of time" in out
    assert row(out, "LceBconv2d")[1:3] == ["1", f"{8 * 8 * 32 * 32 * 9 / 1e6:.1f}"]
    assert out.splitlines()[-1].startswith("floor of the binary part")
    assert "dot products" not in out  # which change nothing without int8


def test_of_two_files_the_difference_is_shown(ask):
    _, out, _ = ask("narrow.tflite", "wide.tflite")
    found = json.loads(ask("narrow.tflite", "wide.tflite", "--json")[1])
    less, more = (file["total"]["instructions"]["tflite"] for file in found)
    assert row(out, "all")[-2] == f"{(more - less) / 1e6:+.1f}"
    assert "wide.tflite: not counted, as the table has no unit costs for it: 1 x TANH (float)" in out


def test_layers_have_rows_with_their_names(ask):
    _, out, _ = ask("narrow.tflite", "--layers")
    found = json.loads(ask("narrow.tflite", "--json")[1])[0]
    operation = next(one for one in found["operations"] if one["kind"] == "LceBconv2d")
    line = next(line for line in out.splitlines() if " sum " in line)
    assert line.split()[-2] == f"{operation['instructions']['tflite'] / 1e6:.3f}"
    assert sum(one["instructions"]["tflite"] for one in found["operations"]) == pytest.approx(
        found["total"]["instructions"]["tflite"]
    )


def test_mistakes_are_sentences(ask, files):
    assert ask() == (2, "", "error: Name one or more .tflite files. Received: none.\n")
    assert ask("absent.tflite")[::2] == (
        2,
        "error: Cannot read absent.tflite: No such file or directory.\n",
    )
    (files / "text.tflite").write_text("no file of TFLite")
    assert "text.tflite is not a TFLite file" in ask("text.tflite")[2]
