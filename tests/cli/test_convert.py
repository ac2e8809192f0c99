"""The verb convert: what it takes, what it writes, what it refuses."""

import functools
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import cli, deploy, files
from bnn_keras.accounting.cost import estimate
from bnn_keras.accounting.cost.words import millions
from bnn_keras.deploy.rewrite import NAMES
from bnn_keras.tflite.flatbuffer import Flatbuffer
from tests import small_run
from tests.networks import TWO_SECTIONS, binary_conv, images, network_around, randomise, tiny_melius
from tests.runs.config_of_digits import CONFIG

keras = tf.keras.layers
ROOT = Path(__file__).parents[2]


@functools.cache
def network():
    """The network of all these runs, of two binary convolutions."""
    image = tf.keras.Input((32, 32, 3))
    x = keras.Conv2D(32, 3, strides=2, padding="same", name="stem")(image)
    for i in range(2):
        x = keras.BatchNormalization(name=f"block{i}/bn")(binary_conv(name=f"block{i}/conv")(x))
    x = keras.GlobalAveragePooling2D(name="pool")(x)
    return randomise(tf.keras.Model(image, keras.Dense(10, name="head")(x), name="tiny"))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """runs/tiny-digits as training leaves it, and an older run beside it."""
    runs = tmp_path_factory.mktemp("work") / "runs"
    for age, name in enumerate(("tiny-digits", "older")):
        folder = small_run.untrained(runs / name, network(), CONFIG)
        network().save_weights(folder / "tiny.weights.h5")
        os.utime(folder / "best.keras", (1e9 - age, 1e9 - age))
    return runs / "tiny-digits"


def main(*arguments):
    return cli.run(["convert", *map(str, arguments)])


@functools.cache
def result():
    """The file and the report of the network of all these runs."""
    flatbuffer = deploy.to_flatbuffer(network())
    return flatbuffer, deploy.verify(network(), flatbuffer, images(1, 32))


@pytest.fixture
def quick(monkeypatch):
    """No conversion, where it is looked at what is written, and not what is in it; the numbers of images."""
    numbers = []
    monkeypatch.setattr(
        deploy, "convert", lambda _, images, *__, **___: numbers.append(len(images)) or result()
    )
    return numbers


def test_the_newest_run_is_converted_into_its_folder(run_folder, monkeypatch, capsys):
    monkeypatch.chdir(run_folder.parents[1])
    assert main("--images=12") == 0
    shown = capsys.readouterr().out
    assert "runs/tiny-digits/best.keras" in shown and "2 of 2 binary layers" in shown
    assert "same class: 12 of 12 images" in shown
    flatbuffer = (run_folder / "tiny.tflite").read_bytes()
    manifest = json.loads((run_folder / "tiny.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(flatbuffer).hexdigest()
    assert manifest["source_sha256"] == hashlib.sha256((run_folder / "best.keras").read_bytes()).hexdigest()
    assert manifest["input"]["shape"] == [1, 32, 32, 3] and manifest["input"]["value_range"] == [0, 255]
    assert manifest["input"]["preprocessing"] == {
        "exif_orientation": "applied",
        "pixels": "RGB",
        "shorter_side": 32,
        "longer_side": "in proportion, rounded down",
        "interpolation": "bilinear",
        "antialias": False,
        "rounding": "none",
        "crop": "centre",
        "crop_size": 32,
    }
    assert manifest["input"]["kind"] == "digits" and manifest["output"]["values"] == "logits"
    assert manifest["class_names"] == [str(i) for i in range(10)]
    assert manifest["verified"]["images"] == 12 and manifest["verified"]["images_of"] == "digits"
    values = np.zeros((1, 32, 32, 3), np.float32)
    assert deploy.run(flatbuffer, values).shape == (1, 10)


def test_a_layer_left_unchecked_is_in_the_manifest(tmp_path, capsys):
    def wave(x):
        return keras.Conv2D(4, 1, name="after")(keras.UnitNormalization(name="unit")(x))

    network_around(wave, 8).save(tmp_path / "model.keras")
    assert main(tmp_path / "model.keras", "--dataset=samples") == 2
    assert "--unchecked=unit" in capsys.readouterr().err
    assert main(tmp_path / "model.keras", "--dataset=samples", "--unchecked=unit") == 0
    assert "not checked, as asked: unit" in capsys.readouterr().out
    assert json.loads((tmp_path / "model.json").read_text())["verified"]["unchecked_layers"] == ["unit"]
    assert main(tmp_path / "model.keras", "--dataset=samples", "--unchecked=unit", "--unchecked=after") == 2
    assert "--unchecked=after: the rounding of this layer has a known bound" in capsys.readouterr().err


def test_a_portable_file_of_bytes_is_written_evaluated_and_asked(run_folder, tmp_path, capsys):
    path = tmp_path / "portable.tflite"
    assert main(run_folder, "--runtime=builtin", "--input=uint8", "--images=4", f"--output={path}") == 0
    shown, errors = capsys.readouterr()
    manifest, size = json.loads(path.with_suffix(".json").read_text()), path.stat().st_size
    lce = manifest["portable"]["bytes_of_the_file_for_lce"]
    assert f"{size:,} bytes, {size / lce:.2f} times the {lce:,} bytes of the file for LCE" in shown
    assert "portable: no custom operations" in shown and "ARM64 instructions" not in shown and not errors
    assert manifest["input"]["type"] == "uint8" and manifest["input"]["value_range"] == [0, 255]
    assert "same class: 4 of 4 images" in shown
    sums = manifest["verified"]["sums_of_signs"]
    assert sums["number"] > 10_000 and sums["wrong"] == 0 and sums["kernels"] == ["litert", "litert_plain"]
    assert manifest["rewrites"]["runtime"] == "builtin" and "estimated_arm64_instructions" not in manifest
    assert cli.run(["evaluate", str(path), "--limit=8"]) == 0
    assert "on 8 held-out images of digits" in capsys.readouterr().out
    tf.keras.utils.save_img(tmp_path / "grey.png", np.full((40, 40, 3), 90), scale=False)
    assert cli.run(["predict", str(path), str(tmp_path / "grey.png")]) == 0
    assert "grey.png: " in capsys.readouterr().out


@pytest.mark.large
def test_a_file_of_bytes_for_lce_is_written_evaluated_and_asked(run_folder, tmp_path, capsys):
    path = tmp_path / "bytes.tflite"
    assert main(run_folder, "--input=uint8", "--images=4", f"--output={path}") == 0
    said = json.loads(path.with_suffix(".json").read_text())["input"]
    assert said["type"] == "uint8" and said["value_range"] == [0, 255]
    assert "same class: 4 of 4 images" in capsys.readouterr().out
    assert cli.run(["evaluate", str(path), "--limit=8"]) == 0
    tf.keras.utils.save_img(tmp_path / "grey.png", np.full((40, 40, 3), 90), scale=False)
    assert cli.run(["predict", str(path), str(tmp_path / "grey.png")]) == 0
    shown = capsys.readouterr().out
    assert "on 8 held-out images of digits" in shown and "grey.png: " in shown


def test_rewrites_are_applied_and_one_can_be_skipped(tmp_path, capsys):
    def body(x):
        x = binary_conv()(keras.BatchNormalization()(keras.Add()([binary_conv()(x), x])))
        return keras.Conv2D(4, 1)(keras.ReLU()(x))

    network_around(body, 8).save(tmp_path / "model.keras")
    arguments = ("--runtime=lce_xnnpack", "--skip_rewrite=means", "--images=2")
    assert main(tmp_path / "model.keras", "--dataset=samples", *arguments) == 0
    shown = capsys.readouterr().out
    assert "rewrite thresholds: applies in 1 place," in shown
    manifest = json.loads((tmp_path / "model.json").read_text())
    expected = estimate(Flatbuffer((tmp_path / "model.tflite").read_bytes())).total.instructions["xnnpack"]
    assert manifest["estimated_arm64_instructions"]["xnnpack"] == round(expected)
    assert f"{millions(expected)} with XNNPACK" in shown
    before, after = (
        sum(found["xnnpack"] for found in manifest["estimated_arm64_instructions"][kinds].values())
        for kinds in ("kinds_without_rewrites", "kinds")
    )
    assert abs(after - expected) < 10 and before > after
    assert "; without rewrites " in shown and f" and {millions(before)} (estimates" in shown
    said = manifest["rewrites"]
    assert (said["runtime"], said["skipped"]) == ("lce_xnnpack", ["means"])
    assert {done["name"]: done["places"] for done in said["applied"]}["thresholds"] == 1
    assert "means" not in {done["name"] for done in said["applied"]}
    reasons = {done["name"]: done["sentence"] for done in said["applied"] if not done["places"]}
    assert reasons["groups"] == "groups: applies nowhere, as it needs grouped convolutions"


def test_without_rewrites(tmp_path, capsys):
    network_around(binary_conv(), 8).save(tmp_path / "model.keras")
    arguments = ("--no_optimize", "--runtime=lce_xnnpack", "--images=2")
    assert main(tmp_path / "model.keras", "--dataset=samples", *arguments) == 0
    assert "rewrite " not in capsys.readouterr().out.replace("without rewrites", "")
    manifest = json.loads((tmp_path / "model.json").read_text())
    assert manifest["verified"]["images"] == 2
    assert manifest["rewrites"] == {"runtime": "lce_xnnpack", "skipped": list(NAMES), "applied": []}
    costs = manifest["estimated_arm64_instructions"]
    assert costs["kinds"] == costs["kinds_without_rewrites"]


@pytest.mark.large
def test_a_file_goes_where_it_is_told(run_folder, tmp_path, quick):
    assert (
        main(run_folder / "model.keras", f"--output={tmp_path / 'deep' / 'm.tflite'}", "--dataset=samples")
        == 0
    )
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["m.json", "m.tflite"]
    assert quick == [32]


@pytest.mark.usefixtures("quick")
def test_the_last_weights_on_demand(run_folder, capsys):
    assert main(run_folder, "--checkpoint=last", "--images=2", f"--output={run_folder / 'last.tflite'}") == 0
    assert "model.keras" in capsys.readouterr().out


@pytest.mark.usefixtures("quick")
def test_weights_alone_belong_to_the_network_of_their_folder(run_folder, tmp_path, capsys):
    weights = run_folder / "tiny.weights.h5"
    assert main(weights, "--images=2", f"--output={tmp_path / 'm.tflite'}") == 0
    assert str(weights) in capsys.readouterr().out
    lonely = shutil.copy(weights, tmp_path)
    assert main(lonely) == 2
    assert (
        "holds weights alone, and no .keras file beside it says of which network" in capsys.readouterr().err
    )


@pytest.mark.usefixtures("quick")
def test_a_network_of_the_zoo_with_foreign_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_melius(32, **TWO_SECTIONS).save_weights(tmp_path / "tiny.weights.h5")
    weights = "--weights=tiny.weights.h5"
    tiny = ["--image_size=32", "--classes=10", "--set=blocks=(1,1)", "--set=channels=(32,)"]
    assert main("--model=meliusneta", weights, *tiny) == 0
    assert (tmp_path / "meliusneta.tflite").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/run"], "No such file or folder: no/such/run"),
        (["setup.cfg"], "valid: a run folder, a .keras, a .weights.h5 or a .tflite file"),
        (["RUN", "another"], "Unexpected argument 'another'"),
        (["RUN", "--model=meliusnet22"], "--model and --weights together"),
        (["--model=meliusnet22"], "--model and --weights together"),
        (["--model=meliusnet23", "--weights=RUN"], "Unknown model 'meliusnet23'; did you mean meliusnet42, "),
        (["--model=meliusneta", "--set=blocks=(1,1,1,1)", "--weights=RUN"], "it is another model's"),
        (
            ["--model=meliusneta", "--weights=RUN", "--set=depth=3"],
            "Unknown setting of meliusneta 'depth'; valid: ",
        ),
        (
            ["--model=bnas_a", "--weights=RUN", "--genotype=g"],
            "--genotype is for --model=bnas. Received: bnas_a",
        ),
        (
            ["--model=bnas", "--weights=RUN", "--genotype=missing.json"],
            "Cannot read missing.json: No such file",
        ),
        (["--model=meliusneta", "--weights=RUN", "--set=depth"], "--set takes NAME=VALUE. Received: 'depth'"),
        (["--model=meliusneta", "--weights=RUN", "--image_size=16"], "from 32 x 32 pixels up"),
        (
            ["--model=meliusneta", "--weights=RUN", "--classes=0"],
            "--classes=0: it must be a whole number from 1 up",
        ),
        (["RUN", "--output=model.bin"], "ends in .tflite. Received: model.bin"),
        (["RUN", "--output=/proc/model.tflite"], "Cannot write /proc/model."),
        (["RUN", "--output=setup.cfg/model.tflite"], "Cannot write setup.cfg/model.tflite"),
        (["RUN", "--checkpoint=worst"], "--checkpoint=worst: it must be one of best, last"),
        (["RUN", "--runtime=tf"], "--runtime=tf: it must be one of lce, lce_xnnpack"),
        (["RUN", "--no_optimize", "--skip_rewrite=means"], "--skip_rewrite one: give one of them"),
        (["RUN", "--skip_rewrite=mean"], "Unknown rewrite 'mean'; did you mean means"),
        (["RUN", "--input=int8"], "--input=int8: it must be one of float32, uint8"),
        (["RUN", "--images=0"], "--images=0: it must be a whole number from 1 up"),
        (["RUN", "--dataset=nonsense"], "nonsense"),
        (["RUN", "--dataset=cifar10", "--data_dir=/no/such/folder"], "cifar10"),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, list) else "",
)
@pytest.mark.usefixtures("quick")
def test_mistakes_get_one_sentence_and_status_2(run_folder, arguments, message, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    before = sorted(run_folder.iterdir())
    assert main(*(a.replace("RUN", str(run_folder)) for a in arguments)) == 2
    shown, error = capsys.readouterr()
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert "converting" not in shown  # what takes minutes comes after what can be known at once
    assert sorted(run_folder.iterdir()) == before


def test_no_run_at_all(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main() == 2
    assert "There is no run in" in capsys.readouterr().err


def test_a_refused_model_leaves_the_old_file(tmp_path, capsys):
    network_around(binary_conv(pad_values=-1.0)).save(tmp_path / "bad.keras")
    (tmp_path / "bad.tflite").write_text("the old file")
    assert main(tmp_path / "bad.keras") == 2
    error = capsys.readouterr().err
    assert "is refused, nothing was written" in error and "it pads with -1" in error
    assert (tmp_path / "bad.tflite").read_text() == "the old file"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.keras", "bad.tflite"]


def test_a_truncated_model(run_folder, tmp_path, capsys):
    whole = (run_folder / "best.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[:-2000])
    assert main(tmp_path / "cut.keras") == 2
    assert "not a whole .keras file" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_a_full_disk_leaves_nothing(run_folder, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(run_folder, "--images=1", f"--output={tmp_path / 'm.tflite'}") == 2
    assert "no space left on the device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    (tmp_path / "file.txt").write_text("old")

    def interrupted():
        with files.replacing(tmp_path / "file.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file.txt", "old")]
