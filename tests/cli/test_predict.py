"""bnn predict: folders, many files, files that cannot be read, and the forms of its answers."""

import csv
import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import bnn_keras
from bnn_keras import cli, data
from bnn_keras.cli.predict import FLAGS
from bnn_keras.data.sources.images import NAMES, SUFFIXES
from bnn_keras.runs import prediction, trained

pytestmark = pytest.mark.usefixtures("loaded_once")
RUN = str(Path(__file__).parents[1] / "fixtures" / "finished")
STRANGE = os.fsdecode(b"\xff\n.png")  # not UTF-8, and two lines


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with digits in it and below it, and with what is no image."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "b" / "inner").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    digits, _ = next(data.open("digits").test(5).as_numpy_iterator())
    names = ["c.PNG", "a.png", "b/z.png", f"b/inner/{STRANGE}", ".hidden/x.png"]
    for name, image in zip(names, digits, strict=True):
        (folder / name).write_bytes(tf.io.encode_png(tf.cast(tf.round(image), tf.uint8)).numpy())
    (folder / "note.txt").write_text("no image")
    (folder / "b" / "loop").symlink_to("..")
    return folder


ORDER = ["a.png", f"b/inner/{STRANGE}", "b/z.png", "c.PNG"]


@pytest.fixture
def mixed(images, tmp_path):
    """The folder with a broken image and a pipe in it; the names of those in order."""
    folder = tmp_path / "mixed"
    shutil.copytree(images, folder, symlinks=True)
    (folder / "aa.jpg").write_bytes(b"\xff\xd8\xff no picture")
    os.mkfifo(folder / "b" / "pipe.png")
    return folder, ["aa.jpg", "b/pipe.png"]


def test_a_folder_stands_for_its_images_in_order(images, capsys):
    assert prediction.image_files([images, "x.jpg"]) == [*(images / name for name in ORDER), Path("x.jpg")]
    assert capsys.readouterr().err == (
        f"{images}: left out files that do not end in {', '.join(SUFFIXES)}: 1 .txt\n"
    )


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_every_image_is_answered_as_it_is_alone(images, batch_size):
    network = trained.load(RUN)
    sizes = []

    def logits(batch):
        sizes.append(len(batch))
        return network.logits(batch)

    counting = dataclasses.replace(network, logits=logits)
    answers = list(bnn_keras.predict_files(counting, [images], top=3, batch_size=batch_size))
    assert sizes == {1: [1, 1, 1, 1], 3: [3, 1], 32: [4]}[batch_size]
    assert [answer.path for answer in answers] == [images / name for name in ORDER]
    for answer in answers:
        (alone,) = bnn_keras.predict(network, network.read_image(answer.path)[None], top=3)
        assert [name for name, _ in answer.classes] == [name for name, _ in alone]
        np.testing.assert_allclose([p for _, p in answer.classes], [p for _, p in alone], rtol=1e-4)


def test_bad_images_do_not_lose_the_others(mixed, capsys):
    folder, bad = mixed
    assert cli.run(["predict", RUN, str(folder), "absent.png", "--batch_size=2"]) == 1
    captured = capsys.readouterr()
    shown = [str(folder / name).replace(STRANGE, r"\xff\n.png") for name in ORDER]
    network, *lines = captured.out.splitlines()
    assert network == f"{RUN}/best.keras"
    assert [line.split(": ")[0] for line in lines] == shown
    assert all(line.count(" %") == 5 for line in lines)
    errors = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert errors == [
        f"error: {folder / bad[0]} cannot be decoded: valid are complete {NAMES} images.",
        f"error: Cannot read {folder / bad[1]}: it is not a regular file.",
        "error: Cannot read absent.png: No such file or directory.",
    ]


def test_json_and_csv(mixed, tmp_path, capsys):
    folder, bad = mixed
    answers = list(prediction.predict_files(trained.load(RUN), [folder], top=2))
    places = [f"--json={tmp_path}/a.json", f"--csv={tmp_path}/a.csv"]
    assert cli.run(["predict", RUN, str(folder), "--top=2", *places]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(ORDER)
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["network"] == f"{RUN}/best.keras"
    assert [Path(image["file"]) for image in written["images"]] == [answer.path for answer in answers]
    with open(tmp_path / "a.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["file", "class_1", "probability_1", "class_2", "probability_2", "error"]
    assert sum(bool(answer.error) for answer in answers) == len(bad)
    for answer, image, row in zip(answers, written["images"], rows, strict=True):
        assert image["error"] == answer.error and row[-1] == (answer.error or "")
        pairs = [(part["name"], part["probability"]) for part in image["classes"]]
        assert pairs == answer.classes
        assert row[0] == str(answer.path).replace(STRANGE, r"\xff\n.png")
        assert row[1:-1] == ([str(cell) for pair in pairs for cell in pair] or [""] * 4)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_result_on_standard_output_is_alone_there(images, form, tmp_path, capsys):
    assert cli.run(["predict", RUN, str(images), f"--{form}=-", "--top=100"]) == 0
    printed = capsys.readouterr().out
    assert cli.run(["predict", RUN, str(images), f"--{form}={tmp_path / 'a'}", "--top=100"]) == 0
    assert printed == (tmp_path / "a").read_text()
    if form == "csv":  # no more columns than classes
        assert {len(row) for row in csv.reader(printed.splitlines())} == {1 + 2 * 10 + 1}


def test_two_results_in_one_place_are_refused(images, capsys):
    assert cli.run(["predict", RUN, str(images), "--json=-", "--csv=-"]) == 2
    assert capsys.readouterr().err == "error: Two results cannot have one place. Received: '-' for both.\n"


def test_a_folder_without_images_is_refused(images, tmp_path, capsys):
    for folder in (tmp_path, images / ".hidden" / ".." / "empty"):
        folder.mkdir(exist_ok=True)
        assert cli.run(["predict", RUN, str(images / "a.png"), str(folder)]) == 2
        captured = capsys.readouterr()
        assert captured.err == (
            f"error: {folder} has no images: valid are files that end in {', '.join(SUFFIXES)}.\n"
        )
        assert "a.png" not in captured.out
    folder.rmdir()


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch, capsys):
    def walk(top, onerror):
        onerror(PermissionError(13, "Permission denied", f"{top}/inner"))

    monkeypatch.setattr(os, "walk", walk)
    assert cli.run(["predict", RUN, str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: Cannot read {tmp_path}/inner: Permission denied.\n"


def test_values_that_are_no_numbers_are_null(images, monkeypatch, capsys):
    network = dataclasses.replace(
        trained.load(RUN), class_names=None, logits=lambda batch: np.full((len(batch), 10), np.nan)
    )
    monkeypatch.setattr(trained, "load", lambda *_: network)
    assert cli.run(["predict", RUN, str(images / "a.png"), "--json=-"]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    # Without names beside the file, classes are numbers.
    assert image["classes"] == [{"name": str(k), "probability": None} for k in range(5)]


def test_a_closed_pipe_ends_it_after_the_first_lines(images, monkeypatch):
    """`door.main` then ends the process without a word, see test_door.py."""
    read, real = [], prediction.TrainedNetwork.read_image
    monkeypatch.setattr(
        prediction.TrainedNetwork,
        "read_image",
        lambda network, path: read.append(path) or real(network, path),
    )
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            cli.run(["predict", RUN, *50 * [str(images / "a.png")], "--batch_size=4"])
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # for what is still in the buffer
    assert len(read) == 4


def test_defaults_are_those_of_the_library():
    defaults = {flag.name: flag.default for flag in FLAGS}
    assert (defaults["top"], defaults["batch_size"]) == (prediction.TOP, prediction.BATCH)


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
@pytest.mark.parametrize("outputs", ["two", "map"])
def test_a_network_that_is_no_classifier(verb, outputs, tmp_path, capsys):
    image = tf.keras.Input((8, 8, 3))
    scores = tf.keras.layers.Dense(10)(image)
    ends = [scores, tf.keras.layers.Flatten()(scores)] if outputs == "two" else scores
    tf.keras.Model(image, ends).save(tmp_path / "other.keras")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    words = [str(tmp_path / "a.png")] if verb == "predict" else ["--dataset=digits"]
    assert cli.run([verb, str(tmp_path / "other.keras"), *words]) == 2
    assert "other.keras is no classifier: valid is one value for each class" in capsys.readouterr().err
