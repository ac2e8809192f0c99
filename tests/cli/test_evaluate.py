"""The same network in a run folder, a .keras and a .tflite file: measured and asked for names."""

import dataclasses
import functools
import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn import metrics
from sklearn.datasets import load_sample_images

from bnn_keras import cli, data, deploy
from bnn_keras.cli import evaluate
from bnn_keras.errors import UserError
from bnn_keras.nn import layers
from bnn_keras.runs import comparison, evaluation, prediction, trained
from tests import small_run
from tests.runs.config_of_digits import CONFIG

NAMES = list("0123456789")


def network(classes=10, size=32):
    image = tf.keras.Input((size, size, 3))
    x = tf.keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = tf.keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="stem")(x)
    x = tf.keras.layers.BatchNormalization(momentum=0.5, name="bn")(x)
    x = layers.binary_conv(32, 3, strides=2, name="binary")(x)
    x = tf.keras.layers.BatchNormalization(momentum=0.5, name="bn2")(x)
    x = tf.keras.layers.Flatten()(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(classes, name="head")(x))


def solve_head(model, examples):
    """Give a network the head whose logits have the least squares, which takes less than a training."""
    images, labels = next(
        data.open("digits", train_examples=examples).train(examples, epoch=0, seed=0).as_numpy_iterator()
    )
    for _ in range(10):  # for the statistics of BatchNorm
        model(images, training=True)
    features = tf.keras.Model(model.inputs, model.layers[-2].output).predict_on_batch(images)
    inputs = np.c_[features, np.ones(examples)]
    wanted = 10 * np.eye(10)[labels]
    solved = np.linalg.solve(inputs.T @ inputs + 10 * np.eye(inputs.shape[1]), inputs.T @ wanted)
    model.layers[-1].set_weights([solved[:-1], solved[-1]])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with a .tflite file and its manifest in it."""
    tf.keras.utils.set_random_seed(0)
    best = network()
    solve_head(best, examples=100)
    folder = small_run.untrained(tmp_path_factory.mktemp("runs") / "run", best, CONFIG)
    solve_head(best, examples=640)
    best.save(folder / "best.keras")
    (folder / "best.tflite").write_bytes(deploy.to_flatbuffer(best))
    manifest = {
        "class_names": NAMES,
        "input": {"shape": [1, 32, 32, 3], "value_range": [0, 255], "kind": "digits", "dataset": "digits"},
    }
    (folder / "best.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A held-out digit as a file, and its label."""
    images, labels = next(data.open("digits").test(1).as_numpy_iterator())
    path = tmp_path_factory.mktemp("pictures") / "digit.png"
    path.write_bytes(tf.io.encode_png(tf.cast(tf.round(images[0]), tf.uint8)).numpy())
    return path, int(labels[0])


@functools.cache
def held_out_logits(path):
    """The logits and labels of all held-out images, as Keras computes them."""
    images, labels = next(data.open("digits").test(1000).as_numpy_iterator())
    return tf.keras.models.load_model(path).predict(images, verbose=0), labels


def oracle(path, limit=None):
    """Top-1, top-5 and confusion as scikit-learn has them, from the whole set at once."""
    logits, labels = (values[:limit] for values in held_out_logits(path))
    return (
        metrics.accuracy_score(labels, logits.argmax(-1)),
        metrics.top_k_accuracy_score(labels, logits, k=5, labels=range(10)),
        metrics.confusion_matrix(labels, logits.argmax(-1), labels=range(10)),
    )


@pytest.mark.usefixtures("loaded_once")
@pytest.mark.parametrize("name", ["", "best.keras", "best.tflite"], ids=["folder", "keras", "tflite"])
def test_all_files_are_measured_as_scikit_learn_measures(run, name):
    network_ = trained.load(run / name)
    assert network_.path == run / (name or "best.keras")
    assert network_.class_names == tuple(NAMES)
    result = evaluation.evaluate(network_, network_.dataset(), batch_size=50)
    top1, top5, confusion = oracle(run / "best.keras")
    assert top1 > 0.5, "the network has not learnt: the rest would compare noise"
    assert (result.top1, result.top5) == (pytest.approx(top1), pytest.approx(top5))
    np.testing.assert_array_equal(result.confusion, confusion)


@pytest.mark.usefixtures("loaded_once")
def test_prints_the_numbers_and_writes_json(run, tmp_path, capsys):
    out = tmp_path / "result.json"
    command = ["evaluate", str(run), "--limit=100", "--batch_size=7", f"--json={out}"]
    assert cli.run(command) == 0
    top1, top5, confusion = oracle(run / "best.keras", limit=100)
    printed = capsys.readouterr().out
    assert f"{run / 'best.keras'} on 100 held-out images of digits" in printed
    assert f"top-1 {100 * top1:.2f} %" in printed and f"top-5 {100 * top5:.2f} %" in printed
    counts = [list(map(int, line.split()[1:])) for line in printed.splitlines()[-10:]]
    np.testing.assert_array_equal(counts, confusion)
    written = json.loads(out.read_text())
    assert written["top1"] == pytest.approx(top1) and written["confusion"] == confusion.tolist()
    assert written["images"] == 100 and written["file"].endswith("best.keras")


@pytest.mark.usefixtures("loaded_once")
def test_classes_are_measured_as_scikit_learn_measures(run, capsys):
    """Accuracy, precision and calibration by class and bin; a class without images has no accuracy."""
    assert cli.run(["evaluate", str(run), "--limit=8", "--json=-"]) == 0
    written = json.loads(capsys.readouterr().out)
    images, labels = next(data.open("digits").test(8).as_numpy_iterator())
    probabilities = tf.nn.softmax(trained.load(run).logits(images)).numpy()
    predicted = probabilities.argmax(-1)
    oracle_of = {"recall": metrics.recall_score, "precision": metrics.precision_score}
    for name, score in oracle_of.items():
        expected = score(labels, predicted, labels=range(10), average=None, zero_division=np.nan)
        assert np.isnan(expected).any()
        np.testing.assert_allclose(np.array(written[name], float), expected)
    reliability = written["calibration"]["reliability"]
    assert written["calibration"]["bins"] == len(reliability) == 15
    for part in reliability:
        inside = (probabilities.max(-1) > part["above"]) & (probabilities.max(-1) <= part["up_to"])
        assert part["images"] == inside.sum()
        if inside.any():
            assert part["confidence"] == pytest.approx(probabilities.max(-1)[inside].mean())
            assert part["accuracy"] == pytest.approx((predicted == labels)[inside].mean())
        else:
            assert part["confidence"] is part["accuracy"] is None
    assert cli.run(["evaluate", str(run), "--limit=8"]) == 0
    printed = capsys.readouterr().out
    assert f"expected calibration error {100 * written['calibration']['expected_error']:.2f} % (15" in printed
    table = printed.split("\n\n")[1].splitlines()[2:]
    assert [line.split()[0] for line in table] == NAMES
    shares = ["-" if share is None else f"{100 * share:.2f}" for share in written["recall"]]
    assert [line.split()[2] for line in table] == shares


def text_of_30_classes(run):
    """The evaluation of a network of 30 classes, as a text."""
    confusion = np.diag(np.arange(30))
    confusion[29, 3], confusion[4, 5], confusion[6, 4] = 7, 9, 1
    measured = evaluation.evaluate(trained.load(run), limit=8)
    names = tuple(f"name{label}" for label in range(30))
    return evaluate._text(dataclasses.replace(measured, confusion=confusion, class_names=names))


@pytest.mark.usefixtures("loaded_once")
def test_of_many_classes_the_worst_are_printed(run):
    _, worst, confusions = text_of_30_classes(run).split("\n\n")
    title, _, _, *rows = worst.splitlines()
    assert title == "The 10 classes with the lowest accuracy:" and len(rows) == 10
    assert [row.split()[:3] for row in rows[:3]] == [
        ["name4", "13", "30.77"],
        ["name29", "36", "80.56"],
        ["name6", "7", "85.71"],
    ]
    assert [row.split() for row in confusions.splitlines()[3:]] == [
        ["name4", "name5", "9"],
        ["name29", "name3", "7"],
        ["name6", "name4", "1"],
    ]


@pytest.mark.usefixtures("loaded_once")
def test_picture(run, tmp_path, capsys):
    picture = tmp_path / "confusion.png"
    assert cli.run(["evaluate", str(run), "--limit=40", f"--picture={picture}"]) == 0
    height, width, _ = tf.io.decode_png(picture.read_bytes()).shape
    assert height > 400 and width > 400
    assert cli.run(["evaluate", str(run), f"--picture={tmp_path}/a.jpg"]) == 2
    assert "--picture must end in .png. Received:" in capsys.readouterr().err
    assert not (tmp_path / "a.jpg").exists()


def test_places_of_results_are_checked_before_the_work(run, tmp_path, capsys):
    same = tmp_path / "a.png"
    assert cli.run(["evaluate", str(run), f"--json={same}", f"--picture={tmp_path}/./a.png"]) == 2
    assert "Two results cannot have one place. Received: " in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert cli.run(["evaluate", "absent", f"--json={tmp_path}/file/a.json"]) == 2
    assert f"Cannot write {tmp_path}/file/a.json: Not a directory" in capsys.readouterr().err


@pytest.mark.usefixtures("loaded_once")
@pytest.mark.parametrize("name", ["model.keras", "best.tflite"])
def test_compare(run, name, tmp_path, capsys):
    other, out = run / name, tmp_path / "a.json"
    assert cli.run(["evaluate", str(run), f"--compare={other}", "--limit=60", f"--json={out}"]) == 0
    written = json.loads(out.read_text())["compare"]
    images, labels = next(data.open("digits").test(60).as_numpy_iterator())
    right, other_right = (
        trained.load(path).logits(images).argmax(-1) == labels for path in (str(run), other)
    )
    b, c = sum(right & ~other_right), sum(other_right & ~right)
    assert (written["only_first_right"], written["only_second_right"]) == (b, c)
    assert (written["file"], written["top1"]) == (str(other), pytest.approx(other_right.mean()))
    assert written["p_value"] == pytest.approx(comparison.mcnemar(b, c))
    lines = capsys.readouterr().out.split("\n\n")[-1].splitlines()
    assert lines[0] == f"compared with {other}"
    assert lines[1] == f"top-1 {100 * right.mean():.2f} % and {100 * other_right.mean():.2f} %"
    assert lines[2] == f"right in the first only: {b} images; in the second only: {c}"
    assert lines[3].startswith("McNemar's exact test: p = ") and lines[4].endswith(".")


def test_other_networks_are_not_compared(run, tmp_path, capsys):
    command = ["evaluate", str(run), f"--compare={tmp_path}/other.keras"]
    assert cli.run(command) == 2
    assert "No such file or folder" in capsys.readouterr().err
    for settings, sentence in {
        (7, 32): "best.keras has 10 classes, .*other.keras has 7: valid are two networks with the same cl",
        (10, 16): "best.keras has 32 pixels an edge, .*other.keras has 16: valid are",
    }.items():
        network(*settings).save(tmp_path / "other.keras")
        assert cli.run(command) == 2
        assert re.search(sentence, capsys.readouterr().err)
    shutil.copy(run / "best.tflite", tmp_path / "best.tflite")
    manifest = json.loads((run / "best.json").read_text()) | {"class_names": [*NAMES[:9], "nine"]}
    (tmp_path / "best.json").write_text(json.dumps(manifest))
    assert cli.run(["evaluate", str(run), f"--compare={tmp_path}/best.tflite"]) == 2
    assert re.search("has the class '9' where .*best.tflite has 'nine': valid", capsys.readouterr().err)


@pytest.fixture
def pictures(tmp_path):
    """Held-out digits of the classes 3 and 7, in a folder with parts."""
    images, labels = next(data.open("digits").test(100).as_numpy_iterator())
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        if label in (3, 7):
            file = tmp_path / "pictures" / ("val" if i % 3 else "test") / str(label) / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(tf.io.encode_png(tf.cast(tf.round(image), tf.uint8)).numpy())
    return tmp_path / "pictures"


@pytest.mark.usefixtures("loaded_once")
def test_all_images_of_a_folder_are_measured_by_the_names_of_their_classes(run, pictures, tmp_path, capsys):
    files = sorted(pictures.rglob("*.png"))
    network_ = trained.load(run)
    images = np.stack([network_.read_image(file) for file in files])
    answers = [answer[0][0] for answer in prediction.predict(network_, images)]
    expected = np.mean([file.parent.name == answer for file, answer in zip(files, answers, strict=True)])
    for name in ("", "best.tflite"):
        assert cli.run(["evaluate", str(run / name), f"--dataset=folder:{pictures}"]) == 0
        printed = capsys.readouterr().out
        assert f"on {len(files)} images of folder:{pictures}" in printed
        assert f"top-1 {100 * expected:.2f} %" in printed
    tests = len(list(pictures.glob("test/*/*")))
    assert cli.run(["evaluate", str(run), f"--dataset=folder:{pictures}", "--split=test"]) == 0
    assert f"on {tests} test images of" in capsys.readouterr().out
    (pictures / "val" / "3").rename(pictures / "val" / "three")
    assert cli.run(["evaluate", str(run), f"--dataset=folder:{pictures}"]) == 2
    assert "has the class 'three', which the network does not know; it knows 0, 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--split=half", "--split=half: it must be one of train, val, test, all"),
        ("--split=all", "Only of folder:PATH can a part be chosen. Received: all of digits"),
    ],
)
def test_splits_that_there_are_not(flag, sentence, run, capsys):
    assert cli.run(["evaluate", str(run), flag]) == 2
    assert sentence in capsys.readouterr().err


def test_the_own_folder_is_measured_on_what_was_held_out(run, pictures):
    own = pictures / "val"
    network_ = trained.load(run)
    on_folder = dataclasses.replace(network_.trained_on, dataset=f"folder:{own}")
    network_ = dataclasses.replace(network_, trained_on=on_folder)
    everything = len(list(own.rglob("*.png")))
    held_out = network_.dataset()
    assert held_out.tested == "held-out images" and 0 < held_out.num_test < everything / 2
    assert network_.dataset(f"folder:{own}/../val").num_test == held_out.num_test
    assert network_.dataset(part="all").num_test == everything


@pytest.mark.usefixtures("loaded_once")
def test_plain_python_prepares_images_for_the_same_classes(run, tmp_path):
    """What the manifest's steps and examples/phone_input.py are for."""
    network_ = trained.load(run)
    prepare = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "phone_input.py"))["prepare"]
    manifest = {
        "input": {
            "preprocessing": dataclasses.asdict(network_.preprocessing),
            "orientation": "upright",
            "type": "float32",
        }
    }
    turned = Image.Exif()
    turned[0x0112] = 6
    for i, photograph in enumerate(map(Image.fromarray, load_sample_images().images * 6)):
        image = photograph.crop((30 * i, 20 * i, 30 * i + 40 + 17 * i, 20 * i + 150))
        file = tmp_path / f"{i}.{('jpg', 'png', 'webp')[i % 3]}"
        image.convert("L" if i % 4 == 3 else "RGB").save(file, exif=turned)
        ((expected, *_),) = prediction.predict(network_, network_.read_image(file)[None])
        ((answer, *_),) = prediction.predict(network_, prepare(file, manifest))
        assert answer[0] == expected[0], file


def test_weights_flag_takes_the_last(run, capsys):
    assert cli.run(["evaluate", str(run), "--weights=last", "--limit=10"]) == 0
    assert "model.keras on 10" in capsys.readouterr().out
    assert cli.run(["predict", str(run), "x.png", "--weights=middle"]) == 2
    assert "--weights=middle: it must be one of best, last" in capsys.readouterr().err


def test_dataset_and_data_dir_flags(run, tmp_path, capsys):
    lonely = tmp_path / "lonely.keras"
    shutil.copy(run / "best.keras", lonely)
    assert cli.run(["evaluate", str(lonely)]) == 2
    assert "says what it was trained on: give --dataset" in capsys.readouterr().err
    assert cli.run(["evaluate", str(lonely), "--dataset=digits", "--limit=10"]) == 0
    absent = tmp_path / "absent"
    assert cli.run(["evaluate", str(lonely), "--dataset=cifar10", f"--data_dir={absent}"]) == 2
    assert str(absent) in capsys.readouterr().err


def test_other_classes_are_refused(tmp_path, capsys):
    network(classes=7).save(tmp_path / "seven.keras")
    assert cli.run(["evaluate", str(tmp_path / "seven.keras"), "--dataset=digits"]) == 2
    assert "has 7 classes, digits has 10" in capsys.readouterr().err


def test_images_that_are_not_square_are_refused(tmp_path, capsys):
    image = tf.keras.Input((32, 48, 3))
    x = tf.keras.layers.Dense(10)(tf.keras.layers.GlobalAveragePooling2D()(image))
    tf.keras.Model(image, x).save(tmp_path / "wide.keras")
    assert cli.run(["evaluate", str(tmp_path / "wide.keras"), "--dataset=digits"]) == 2
    assert "takes (32, 48, 3), not square images in RGB" in capsys.readouterr().err


def test_damaged_and_missing_files_are_one_sentence(run, tmp_path, capsys):
    whole = (run / "best.tflite").read_bytes()
    for name, content in {"cut.tflite": whole[: len(whole) // 2], "text.tflite": b"not a model"}.items():
        (tmp_path / name).write_bytes(content)
        assert cli.run(["evaluate", str(tmp_path / name)]) == 2
        assert name in capsys.readouterr().err
    shutil.copy(run / "best.tflite", tmp_path / "best.tflite")
    for content, sentence in {"{": "not a whole JSON file", "{}": "does not hold the manifest"}.items():
        (tmp_path / "best.json").write_text(content)
        assert cli.run(["evaluate", str(tmp_path / "best.tflite")]) == 2
        assert sentence in capsys.readouterr().err
    for path, sentence in {
        "no.tflite": "No such file",
        "no.keras": "No such file",
        "": "No best.keras in",
    }.items():
        assert cli.run(["evaluate", str(tmp_path / path)]) == 2
        assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(("verb", "text"), [("evaluate", "Give a PATH"), ("predict", "at least one image")])
def test_without_a_path(verb, text, capsys):
    assert cli.run([verb]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.usefixtures("loaded_once")
def test_predict_names_the_class(run, picture, capsys):
    path, label = picture
    for file in ("best.keras", "best.tflite"):
        assert cli.run(["predict", str(run / file), str(path), str(path), "--top=3"]) == 0
        first, *lines = capsys.readouterr().out.splitlines()
        assert first == str(run / file) and len(lines) == 2
        assert lines[0].startswith(f"{path}: {label} ") and lines[0].count("%") == 3


@pytest.mark.usefixtures("loaded_once")
def test_predict_gives_the_softmax(run):
    images, _ = next(data.open("digits").test(8).as_numpy_iterator())
    expected = tf.nn.softmax(held_out_logits(run / "best.keras")[0][:8]).numpy()
    answers = prediction.predict(trained.load(run), images, top=10)
    for answer, row in zip(answers, expected, strict=True):
        assert [name for name, _ in answer] == [str(k) for k in np.argsort(-row)]
        np.testing.assert_allclose([share for _, share in answer], np.sort(row)[::-1], rtol=1e-5)
    np.testing.assert_array_equal(prediction.probabilities(expected), expected)


def test_predict_refuses_bad_images_and_tops(run, picture, tmp_path, capsys):
    path, _ = picture
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no picture")
    bad = [broken, tmp_path / "absent.jpg"]
    assert cli.run(["predict", str(run), *map(str, [bad[0], path, bad[1]])]) == 1
    captured = capsys.readouterr()
    first, second = captured.err.splitlines()[-2:]
    assert first.startswith(f"error: {bad[0]} cannot be decoded") and f"Cannot read {bad[1]}: No" in second
    assert [line.split(":")[0] for line in captured.out.splitlines()[1:]] == [str(path)]
    assert cli.run(["predict", str(run), str(path), "--top=0"]) == 2
    assert "--top=0: it must be a whole number from 1 up" in capsys.readouterr().err


def test_a_manifest_may_know_neither_names_nor_data(run, tmp_path):
    shutil.copy(run / "best.tflite", tmp_path / "best.tflite")
    nothing = {"class_names": [], "input": {"dataset": None, "kind": None}}
    (tmp_path / "best.json").write_text(json.dumps(nothing))
    network_ = trained.load(tmp_path / "best.tflite")
    assert (network_.class_names, network_.kind) == (None, "photographs")


def test_without_names_the_classes_are_numbers(tmp_path):
    network(classes=3).save(tmp_path / "three.keras")
    network_ = trained.load(tmp_path / "three.keras")
    (answer,) = prediction.predict(network_, np.zeros((1, 32, 32, 3), np.float32))
    assert {name for name, _ in answer} == {"0", "1", "2"}
    with pytest.raises(UserError, match="give --dataset"):
        network_.dataset()
