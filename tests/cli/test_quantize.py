"""bnn quantize: what it prints, keeps and shows, and its messages."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import cli
from bnn_keras.nn import layers
from bnn_keras.report import charts
from bnn_keras.runs import RunFolder
from bnn_keras.runs.quantization import Fraction, Quantization, QuantizedRow
from bnn_keras.settings.recipe import Recipe
from tests import small_run
from tests.runs.config_of_digits import CONFIG

FINISHED = Path(__file__).parents[1] / "fixtures" / "finished"
K = tf.keras.layers
RECIPE = Recipe(epochs=1, batch_size=32, optimizer="adam", learning_rate=0.01, label_smoothing=0.1)


def network():
    """A binary convolution with a branch that squeezes and expands, as in BNext."""
    image = tf.keras.Input((32, 32, 3))
    x = K.Rescaling(1 / 127.5, offset=-1)(image)
    x = K.BatchNormalization(name="bn")(K.Conv2D(16, 3, strides=4, padding="same", name="stem/conv")(x))
    y = K.BatchNormalization(name="block/bn")(layers.binary_conv(16, 3, name="block/conv")(x))
    scale = K.GlobalAveragePooling2D(keepdims=True, name="block/mean")(y)
    scale = K.Conv2D(4, 1, activation="relu", name="block/squeeze")(scale)
    scale = K.Conv2D(16, 1, activation="sigmoid", name="block/expand")(scale)
    x = K.GlobalAveragePooling2D(name="pool")(K.Multiply(name="block/scaled")([y, scale]))
    return tf.keras.Model(image, K.Dense(10, name="head")(x), name="tiny")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a network with a branch, and of 64 training images."""
    config = dataclasses.replace(CONFIG, train_examples=64, recipe=RECIPE)
    tf.keras.utils.set_random_seed(0)
    folder = small_run.untrained(tmp_path_factory.mktemp("runs") / "run", network(), config)
    for table in ("history.csv", "flips.csv"):  # which a report shows
        shutil.copy(FINISHED / table, folder)
    return folder


@pytest.fixture
def ask(capsys):
    def asked(*words):
        status = cli.run(["quantize", *map(str, words)])
        return status, *capsys.readouterr()

    return asked


def test_the_four_settings_of_the_table_are_printed_kept_and_shown(run, ask, eager, tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "svg", lambda *_: b"")  # drawing is tested in tests/report
    run = shutil.copytree(run, tmp_path / "run")
    (run / "report.html").write_text("an earlier report")
    status, out, error = ask(run, "--epochs=0", "--limit=40")
    assert status == 0, error
    found = Quantization.read(RunFolder(run).quantization)
    assert [row.bits for row in found.rows] == [
        {},
        *({"stem": "8/8", "branch": b, "head": "8/8"} for b in ("8/8-8/8", "4/8-4/8", "4/8-4/4", "4/4-4/4")),
    ]
    assert found.train_images == 64 and found.batch_size == 32
    assert all(row.rounded.images == 40 for row in found.rows)
    assert not any(row.fine_tuned for row in found.rows)
    sizes = [row.size_mib for row in found.rows]
    assert sizes[0] > sizes[1] > sizes[2] == sizes[3] == sizes[4]
    assert found.rows[0].qops == 0 < found.rows[1].qops == found.rows[4].qops
    assert "stem 8/8, branch 4/8-4/4, head 8/8" in out and "no calibration" in out
    page = (run / "report.html").read_text()
    assert "Fewer bits" in page and "branch 4/8-4/4" in page and "an earlier report" not in page


def test_one_setting_without_fine_tuning(run, ask):
    status, out, error = ask(run, "--branch_bits=2/2", "--epochs=0", "--limit=8", "--weights=last")
    assert status == 0, error
    (_, row) = Quantization.read(RunFolder(run).quantization).rows
    assert row.bits == {"stem": "8/8", "branch": "2/2", "head": "8/8"} and row.fine_tuned == ()
    assert "model.keras" in out and "seeds" not in out


def test_fine_tuning_changes_only_the_quantized_layers_and_takes_its_flags(run, ask, monkeypatch):
    from bnn_keras.deploy.quantize import study

    seen = []

    def fine_tune(trainer, images, config, epochs, batch_size, seed):
        before = {weight.name: weight.numpy() for weight in trainer.weights}
        steps = int(trainer.optimizer.iterations)
        original(trainer, images, config, epochs, batch_size, seed)
        changed = {w.name for w in trainer.weights if (w.numpy() != before[w.name]).any()}
        rate = float(trainer.optimizer.learning_rate)
        seen.append((before, changed, steps, (images.num_train, batch_size, epochs, seed, rate)))

    original = study.fine_tune
    monkeypatch.setattr(study, "fine_tune", fine_tune)
    flags = ("--stem_bits=8/8", "--epochs=1", "--learning_rate=0.5", "--batch_size=16", "--train_examples=48")
    status, out, _ = ask(run, *flags, "--seed=7", "--seeds=2", "--limit=8")
    assert status == 0 and "mean and deviation of 2 seeds" in out
    (before, changed, _, given), (before_second, _, steps, given_second) = seen
    found = Quantization.read(RunFolder(run).quantization)
    assert found.seeds == (7, 8) and len(found.rows[1].fine_tuned) == 2
    assert given == (48, 16, 1, 7, 0.5) and given_second == (48, 16, 1, 8, 0.5)
    for seed, fraction in zip((7, 8), found.rows[1].fine_tuned, strict=True):
        line = f"head 8/8, fine-tuned, seed {seed}: {fraction.right} of 8 images right"
        assert line in out
    # A seed starts where the one before it started.
    assert steps == 0
    for name, value in before.items():
        np.testing.assert_array_equal(value, before_second[name])
    assert changed and all(re.search("stem/conv|squeeze|expand|head", name) for name in changed)
    assert {name.split("/")[-2] for name in changed} >= {"conv", "squeeze", "expand"}


def test_the_deviation_is_that_of_a_sample():
    row = QuantizedRow({}, 1.0, 0, 1.0, Fraction(1, 2), (Fraction(8, 10), Fraction(9, 10)))
    assert row.mean == pytest.approx(0.85) and row.deviation == pytest.approx(0.0707, abs=1e-4)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run of a network without branches and transitions."""
    return small_run.untrained(tmp_path_factory.mktemp("runs") / "plain", small_run.network(), CONFIG)


def test_a_part_that_the_network_does_not_have(plain, ask):
    for part in ("branch", "transition"):
        status, _, error = ask(plain, f"--{part}_bits=8/8")
        assert status == 2
        assert f"--{part}_bits: tiny has no such layers; its 32-bit parts are: stem, head." in error
    assert not RunFolder(plain).quantization.exists()


def test_bits_outside_the_range_and_other_mistakes(plain, run, ask, tmp_path):
    for words, message in (
        ((), "Give a RUN, the folder of a training. Received: nothing."),
        ((plain, run), "Unexpected argument"),
        ((tmp_path,), "is not a run folder"),
        ((plain, "--head_bits=1/8"), "--head_bits=1/8: it must be bits of weights/activations, each 2 to 8"),
        ((plain, "--stem_bits=8"), "--stem_bits=8: it must be bits of weights/activations"),
        ((run, "--transition_bits=8/9"), "--transition_bits=8/9: it must be bits"),
        ((run, "--epochs=-1"), "--epochs=-1: it must be a whole number from 0 up"),
        ((run, "--learning_rate=0"), "it must be a number above 0"),
        ((run, "--batch_size=4096"), "The batch size must be from 1 to 64"),
        ((run, "--train_examples=0"), "it must be a whole number from 1 up"),
        ((run, "--seeds=0"), "it must be a whole number from 1 up"),
    ):
        status, out, error = ask(*words)
        assert (status, out) == (2, "") and message in error and "Traceback" not in error


def test_a_file_that_is_no_study_is_refused(run, tmp_path):
    from bnn_keras.errors import UserError

    path = tmp_path / "quantization.json"
    path.write_text(json.dumps({"rows": 3}))
    with pytest.raises(UserError, match="does not hold the quantization of a run"):
        Quantization.read(path)
