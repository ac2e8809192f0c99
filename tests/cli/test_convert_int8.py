"""bnn convert --quantize=int8: the file, its manifest, and its messages."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import cli, deploy
from bnn_keras.deploy.bundle import images, integers
from bnn_keras.deploy.bundle.source import source_of
from bnn_keras.nn import layers
from bnn_keras.runs import trained
from bnn_keras.settings.orientation import UPSIDE_DOWN
from bnn_keras.tflite.flatbuffer import BCONV, TYPE_NAMES, Flatbuffer
from tests import networks, small_run
from tests.runs.config_of_digits import CONFIG

K = tf.keras.layers


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a small network on digits, with random weights."""
    image = tf.keras.Input((32, 32, 3))
    x = K.BatchNormalization()(K.Conv2D(32, 3, strides=2, padding="same", name="stem")(image))
    x = K.BatchNormalization()(layers.binary_conv(32, 3, name="binary")(x))
    x = K.Dense(10, name="head")(K.GlobalAveragePooling2D()(x))
    model = networks.randomise(tf.keras.Model(image, x, name="random"))
    return small_run.untrained(tmp_path_factory.mktemp("runs") / "run", model, CONFIG)


@pytest.fixture(scope="module")
def converted():
    """The files in 32 bits, by the options of their conversion."""
    return {}


@pytest.fixture
def ask(converted, monkeypatch, capsys):
    """Runs the command; the file in 32 bits, from which it starts, is made once."""

    def convert(model, images, *others, **options):
        key = f"{len(images)} images, {options}"
        if key not in converted:
            converted[key] = original(model, images, *others, **options)
        return converted[key]

    original = deploy.convert
    monkeypatch.setattr(deploy, "convert", convert)

    def asked(*words):
        status = cli.run(["convert", *map(str, words)])
        return status, *capsys.readouterr()

    return asked


def test_the_file_and_its_manifest(run, ask, tmp_path):
    output = tmp_path / "int8.tflite"
    flags = ("--quantize=int8", "--calibration_images=20", "--images=40", "--largest_loss=100")
    status, out, error = ask(run, *flags, f"--output={output}")
    assert status == 0, error
    manifest = json.loads(output.with_suffix(".json").read_text())
    found = manifest["quantization"]
    assert found["bits"] == {"stem": "8/8", "head": "8/8"} and found["calibration_images"] == 20
    assert {entry["name"] for entry in found["inexact"]} == {"stem", "head"}
    assert all(0 <= entry["largest_difference_over_bound"] <= 1 for entry in found["inexact"])
    assert found["images"] == 40 and 0 <= found["accuracy"] <= 1
    assert found["weight_bytes"] < found["float_weight_bytes"]
    assert manifest["verified"]["binary_layers"] == 1
    assert "ranges from 20 calibration images" in out and "int8 is inexact" in out
    file = Flatbuffer(output.read_bytes())
    kinds = {TYPE_NAMES[tensor.type] for tensor in file.graph.tensors}
    assert "INT8" in kinds
    black = np.zeros((1, 32, 32, 3), np.float32)
    assert trained.load(output).logits(black).shape == (1, 10)


def test_a_portable_file_has_exact_sums_of_signs_in_int8_too(run, ask, tmp_path):
    output = tmp_path / "portable.tflite"
    flags = ("--quantize=int8", "--runtime=builtin", "--input=uint8", "--largest_loss=100")
    status, out, error = ask(run, *flags, "--calibration_images=8", "--images=8", f"--output={output}")
    assert status == 0, error
    manifest = json.loads(output.with_suffix(".json").read_text())
    # Not the kernel of the border of the binary convolution, which is in 32 bits.
    assert {entry["name"] for entry in manifest["quantization"]["inexact"]} == {"stem", "head"}
    counted = manifest["quantization"]["sums_of_signs"]
    assert counted == manifest["verified"]["sums_of_signs"]
    assert counted["number"] > 0 and counted["wrong"] == 0 and len(counted["kernels"]) == 2
    assert f"in int8, sums of signs: {counted['number']:,} of {counted['number']:,} are exact" in out
    assert manifest["input"]["type"] == "uint8" and manifest["portable"]["custom_operations"] == 0
    # Its binary convolutions are none that the table of unit costs knows.
    assert "ARM64 instructions" not in out
    assert not any("instructions" in key for key in manifest["quantization"])
    file = Flatbuffer(output.read_bytes())
    assert TYPE_NAMES[file.graph.tensors[int(file.graph.inputs[0])].type] == "UINT8"
    assert not any(op.name.startswith("Lce") for op in file.ops)
    assert "QUANTIZE" in {op.name for op in file.ops}
    assert trained.load(output).logits(np.zeros((1, 32, 32, 3), np.float32)).shape == (1, 10)


@pytest.mark.large  # the portable file above takes bytes too
def test_a_file_that_takes_bytes(run, ask, tmp_path):
    output = tmp_path / "bytes.tflite"
    flags = ("--quantize=int8", "--input=uint8", "--largest_loss=100")
    status, out, error = ask(run, *flags, "--calibration_images=8", "--images=8", f"--output={output}")
    assert status == 0, error
    manifest = json.loads(output.with_suffix(".json").read_text())
    assert manifest["input"]["type"] == "uint8" and "int8 is inexact" in out
    assert manifest["quantization"]["images"] == 8
    assert any(op.name == BCONV for op in Flatbuffer(output.read_bytes()).ops)
    assert trained.load(output).logits(np.zeros((1, 32, 32, 3), np.float32)).shape == (1, 10)


def test_a_file_that_loses_more_is_not_written(run, ask, tmp_path, monkeypatch):
    from bnn_keras.deploy.quantize import int8

    shares = iter((0.90, 0.95))  # of the file in integers, and of the float file
    monkeypatch.setattr(int8, "_accuracy", lambda outputs, labels: next(shares))
    output = tmp_path / "int8.tflite"
    words = ("--quantize=int8", "--calibration_images=4", "--images=40", f"--output={output}")
    status, _, error = ask(run, *words)
    assert (
        status == 2 and "is refused, nothing was written: in int8 it loses 5.00 points of accuracy" in error
    )
    assert "--largest_loss=0.5" in error and list(tmp_path.iterdir()) == []


def test_calibration_images_are_training_images_of_the_run(run):
    source = source_of(trained.load(run))
    few = integers.calibration_images(source, None, None, 3)
    assert few.shape == (3, 32, 32, 3) and few.dtype == np.float32
    np.testing.assert_array_equal(few, integers.calibration_images(source, None, None, 6)[:3])
    held_out = images.open(source, None, None, 500).images
    assert not any((held_out == image).all((1, 2, 3)).any() for image in few)


def test_images_turned_for_a_file_that_takes_them_upside_down(run):
    source = source_of(trained.load(run))
    turned = dataclasses.replace(source, orientation=UPSIDE_DOWN)
    np.testing.assert_array_equal(
        integers.calibration_images(turned, None, None, 2)[:, ::-1, ::-1],
        integers.calibration_images(source, None, None, 2),
    )


@pytest.mark.usefixtures("loaded_once")
def test_mistakes(run, ask, tmp_path):
    model = tmp_path / "alone.keras"
    model.write_bytes((run / "best.keras").read_bytes())
    for words, message in (
        ((run, "--branch_bits=4/8"), "--branch_bits belongs to --quantize=int8: give both."),
        ((run, "--calibration_images=4"), "--calibration_images belongs to --quantize=int8"),
        ((run, "--largest_loss=1"), "--largest_loss belongs to --quantize=int8"),
        ((run, "--quantize=int4"), "--quantize=int4: it must be one of int8"),
        ((run, "--quantize=int8", "--branch_bits=4/4"), "--branch_bits=4/4: it must be one of 4/8, 8/8"),
        (
            (run, "--quantize=int8", "--branch_bits=4/8"),
            "the network has no squeeze-and-expand branches; its 32-bit parts are: stem, head.",
        ),
        ((run, "--quantize=int8", "--calibration_images=0"), "must be a whole number from 1 up"),
        ((run, "--quantize=int8", "--largest_loss=-1"), "it must be a number from 0 to 100"),
        ((model, "--quantize=int8"), "needs calibration images, and"),
        (
            (model, "--quantize=int8", "--dataset=samples"),
            "is in no run folder: give --dataset, a set with tr",
        ),
    ):
        status, _, error = ask(*words)
        assert status == 2 and message in error and "Traceback" not in error
