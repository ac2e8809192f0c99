"""bnn convert --bundle: the folder, its Python example and self-check, and what is refused."""

import dataclasses
import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from bnn_keras import cli, deploy
from bnn_keras.deploy.bundle import folder, images, job, source
from bnn_keras.nn import layers
from bnn_keras.runs import trained
from bnn_keras.tflite.interpreter import Interpreter
from tests.networks import binary_conv, network_around, randomise
from tests.runs.config_of_digits import CONFIG

keras = tf.keras.layers
SIZE, LABELS = 16, ("one", "two", "three, or more", "four")
NAME = "users_own"
PORTABLE = f"{NAME}_portable"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    network_around(binary_conv(), SIZE).save(place / "best.keras")
    (place / "config.json").write_text(CONFIG.to_json())
    (place / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    return place


def main(*words):
    return cli.run(["convert", *map(str, words), "--dataset=samples", "--images=9"])


@pytest.fixture(scope="module")
def whole(run_folder, tmp_path_factory):
    """A bundle of both files, and what the command made for it."""
    place = tmp_path_factory.mktemp("bundles") / "deep" / "bundle"
    made = []
    with pytest.MonkeyPatch.context() as patch:
        make = job.make
        patch.setattr(job, "make", lambda *given: made.append(make(*given)) or made[-1])
        assert main(run_folder, f"--bundle={place}", "--runtime=both") == 0
    return place, made


@pytest.fixture
def bundle(whole, tmp_path):
    """A copy of the bundle, for changes."""
    return Path(shutil.copytree(whole[0], tmp_path / "bundle"))


@pytest.fixture
def made_once(whole, monkeypatch):
    """The files of the bundle without another conversion."""
    by_name = {one.name: one for one in whole[1]}
    monkeypatch.setattr(job, "make", lambda source, compared, name, *_: by_name[name])


def classify(bundle, *words):
    """The Python example in this process: its exit status."""
    script = bundle / "python" / "classify.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script), *map(str, words)])
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.syspath_prepend(str(script.parent))
        patch.delitem(sys.modules, "phone_input", raising=False)
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(script), run_name="__main__")
        sys.modules.pop("phone_input", None)
    return end.value.code


def test_a_bundle_is_whole(whole):
    place, _ = whole
    known = json.loads((place / "bundle.json").read_text())["files"]
    found = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert found == {*known, "bundle.json"}
    assert all(hashlib.sha256((place / name).read_bytes()).hexdigest() == known[name] for name in known)
    assert {"python/classify.py", "python/phone_input.py", "cpp/CMakeLists.txt", "README.md"} <= found
    assert "android/app/src/main/AndroidManifest.xml" in found
    model = place / "model"
    assert (model / "labels.txt").read_text().splitlines() == list(LABELS)
    assert [child.name for child in place.parent.iterdir()] == ["bundle"]  # nothing is left beside it
    size = f"{(model / f'{PORTABLE}.tflite').stat().st_size:,}"
    text = (place / "README.md").read_text()
    assert f"# {CONFIG.model}, for devices" in text and f"| model/{PORTABLE}.tflite | {size} | LiteRT" in text
    for name, runtime in ((NAME, "lce"), (PORTABLE, "builtin")):
        manifest = json.loads((model / f"{name}.json").read_text())
        assert manifest["file"] == f"{name}.tflite" and manifest["rewrites"]["runtime"] == runtime
        expected = json.loads((model / "samples" / f"{name}.json").read_text())
        pixels = np.stack([np.asarray(Image.open(model / "samples" / s)) for s in expected["samples"]])
        assert pixels.shape == (8, SIZE, SIZE, 3)
        outputs = Interpreter((model / f"{name}.tflite").read_bytes()).predict(pixels.astype(np.float32))
        np.testing.assert_array_equal(np.array(expected["outputs"], np.float32), outputs)
        assert expected["tolerance"] == pytest.approx(0.01 * np.abs(outputs).max())
        assert len({int(row.argmax()) for row in outputs}) > 1


def test_the_python_example_needs_the_folder_alone(whole, tmp_path):
    place, _ = whole
    shutil.copytree(place, tmp_path / "alone")
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (40, 30), (200, 90, 10)).save(photo)
    script = tmp_path / "alone" / "python" / "classify.py"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    words = [sys.executable, "-B", str(script), "--check", "--threads=1", str(photo)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 10 and all(line.endswith("allowed: ok") for line in lines[:8])
    assert lines[8] == "8 of 8 samples give what they should"
    assert lines[9].startswith(f"{photo}: ") and lines[9].count("%") == len(LABELS)


def test_the_file_for_lce_is_checked_in_its_interpreter(bundle, capfd):
    assert classify(bundle, "--check", f"--file={bundle / 'model' / NAME}.tflite") == 0
    assert "8 of 8 samples give what they should" in capfd.readouterr().out


def test_damage_fails_the_self_check(bundle, capfd):
    model = bundle / "model"
    sample, tflite = model / "samples" / "3.png", model / f"{PORTABLE}.tflite"
    whole = sample.read_bytes()
    Image.new("RGB", (SIZE, SIZE), (255, 0, 0)).save(sample)
    assert classify(bundle, "--check") == 1
    shown = capfd.readouterr().out
    assert shown.count("WRONG") == 1 and "7 of 8 samples give what they should" in shown
    for content, sentence in ((whole[:200], "error: "), (b"no image", "cannot identify image file")):
        sample.write_bytes(content)
        assert classify(bundle, "--check") == 1
        assert sentence in capfd.readouterr().err
    sample.write_bytes(whole)
    content = bytearray(tflite.read_bytes())
    content[len(content) // 2] ^= 1
    tflite.write_bytes(content)
    assert classify(bundle, "--check") == 1
    assert f"{PORTABLE}.tflite is damaged" in capfd.readouterr().err


def test_the_python_example_names_what_it_cannot_do(bundle, monkeypatch, capfd):
    Image.new("RGB", (20, 20)).save(bundle / "good.png")
    assert classify(bundle, bundle / "README.md", bundle / "good.png") == 1
    shown, errors = capfd.readouterr()
    assert "README.md cannot be read" in errors and "good.png: " in shown
    monkeypatch.setitem(sys.modules, "larq_compute_engine.tflite.python.interpreter", None)
    assert classify(bundle, "--check", f"--file={bundle / 'model' / NAME}.tflite") == 1
    assert f"{NAME}.tflite needs the package larq_compute_engine" in capfd.readouterr().err
    assert classify(bundle) == 2
    shutil.rmtree(bundle / "model")
    assert classify(bundle, "--check") == 1
    assert "model holds no .tflite file" in capfd.readouterr().err


def turning():
    """A network that turns its image first, as BNext does."""
    image = tf.keras.Input((SIZE, SIZE, 3))
    x = binary_conv()(keras.Conv2D(32, 3, padding="same")(layers.Rotate180()(image)))
    x = keras.GlobalAveragePooling2D()(keras.BatchNormalization()(x))
    return randomise(tf.keras.Model(image, keras.Dense(4)(x)))


def test_bytes_and_turned_images_are_checked_too(tmp_path):
    turning().save(tmp_path / f"{NAME}.keras")
    place = tmp_path / "bundle"
    words = ("--runtime=builtin", "--input=uint8", "--orientation=upside_down", "--no_optimize")
    assert main(tmp_path / f"{NAME}.keras", f"--bundle={place}", *words) == 0
    assert classify(place, "--check") == 0
    model = place / "model"
    said = json.loads((model / f"{PORTABLE}.json").read_text())["input"]
    assert (said["type"], said["orientation"]) == ("uint8", "upside_down")
    assert not (model / f"{NAME}.tflite").exists()
    assert (model / "labels.txt").read_text().split() == ["0", "1", "2", "3"]
    # The samples are upright, as an app gets its images.
    pieces = np.rint(images.samples(SIZE, SIZE, 9)).astype(np.uint8)
    for sample in (model / "samples").glob("*.png"):
        image = Image.open(sample)
        assert any(np.array_equal(image, piece) for piece in pieces)
        image.rotate(180).save(sample)
    assert classify(place, "--check") == 1


@pytest.mark.usefixtures("made_once")
def test_without_a_portable_file_there_are_no_examples_for_stock_runtimes(run_folder, tmp_path, capsys):
    assert main(run_folder, f"--bundle={tmp_path / 'b'}") == 0
    assert f"wrote {tmp_path / 'b'} (" in capsys.readouterr().out
    found = {path.name for path in (tmp_path / "b").iterdir()}
    assert found == {"README.md", "bundle.json", "model", "python"}


@pytest.mark.usefixtures("made_once")
def test_a_bundle_is_replaced_as_a_whole(run_folder, bundle, monkeypatch):
    (bundle / "python" / "__pycache__").mkdir()
    (bundle / "python" / "__pycache__" / "phone_input.cpython-311.pyc").write_bytes(b"")
    (bundle.parent / "link").symlink_to(bundle)
    assert main(run_folder, f"--bundle={bundle.parent / 'link'}") == 0
    assert (bundle / "model" / f"{NAME}.tflite").is_file() and not (bundle / "cpp").exists()
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["bundle", "link"]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(run_folder, f"--bundle={bundle}", "--runtime=both") == 2
    assert not (bundle / "cpp").exists() and len(list(bundle.parent.iterdir())) == 2


@pytest.mark.parametrize("changes", [{}, {"quantization": {}}], ids=str)
def test_a_file_unlike_its_model_tolerates_more_unless_integers_explain_it(whole, tmp_path, changes):
    network_around(binary_conv(filters=64), SIZE).save(tmp_path / "another.keras")
    another = source.source_of(trained.load(tmp_path / "another.keras"))
    compared = images.Compared(images.samples(SIZE, SIZE, 9), None, "pieces")
    one = dataclasses.replace(whole[1][0], manifest={**whole[1][0].manifest, **changes})
    folder.write(tmp_path / "bundle", another, [one], compared)
    said = json.loads((tmp_path / "bundle" / "model" / "samples" / f"{NAME}.json").read_text())
    share = said["tolerance"] / np.abs(said["outputs"]).max()
    assert share == pytest.approx(0.01) if changes else share > 0.05


def other(place):
    shutil.rmtree(place)
    place.mkdir()
    (place / "bundle.json").write_text('{"kind": "another", "files": {}}')


def file(place):
    shutil.rmtree(place)
    place.write_text("mine")


@pytest.mark.parametrize(
    ("alter", "sentence"),
    [
        (
            "notes.txt",
            "bundle holds notes.txt, which is not of a bundle or was changed: only an unchanged bundle is",
        ),
        ("python/classify.py", "bundle holds python/classify.py, which is not of a bundle or was changed"),
        (other, "bundle holds bundle.json, which is not of a bundle or was changed"),
        ("bundle.json", "bundle.json is not a whole JSON file"),
        (file, "--bundle names a folder. Received: the file "),
    ],
)
def test_a_folder_that_holds_something_else_is_refused(
    run_folder, bundle, alter, sentence, monkeypatch, capsys
):
    monkeypatch.setattr(job, "make", None)  # it is refused before
    if isinstance(alter, str):
        (bundle / alter).write_text("mine")
    else:
        alter(bundle)
    before = sorted(bundle.rglob("*"))
    assert main(run_folder, f"--bundle={bundle}") == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert sorted(bundle.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--bundle=b", "--output=m.tflite"], "--bundle names the folder of all files, --output one file"),
        (
            ["--runtime=both"],
            "--runtime=both is for a bundle of two files: give --bundle. Received: no --bundle.",
        ),
        (["--bundle=/proc/bundle"], "Cannot write /proc/bundle"),
        (["--bundle=."], "--bundle=. is the current folder or holds it: give a folder in it."),
        (["--bundle=/"], "--bundle=/ is the current folder or holds it"),
    ],
)
def test_mistakes_are_sentences_and_write_nothing(run_folder, words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(deploy, "convert", None)
    assert main(run_folder, *words) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_no_classifier_of_square_images_has_no_bundle(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(deploy, "convert", None)
    image = tf.keras.Input((8, 12, 3))
    tf.keras.Model(image, tf.keras.layers.Conv2D(4, 1)(image)).save(tmp_path / "map.keras")
    flat = tf.keras.layers.GlobalAveragePooling2D()(image)
    tf.keras.Model(image, tf.keras.layers.Dense(4)(flat)).save(tmp_path / "wide.keras")
    for name, sentence in (("map", "is no classifier"), ("wide", "not square images in RGB")):
        assert main(tmp_path / f"{name}.keras", f"--bundle={tmp_path / 'b'}") == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
