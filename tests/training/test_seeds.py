"""Several seeds: each trains as it would alone, and their results are summed up."""

import csv

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import cli, data, training
from bnn_keras.errors import UserError
from bnn_keras.runs.folder import RunFolder
from bnn_keras.settings.recipe import Recipe
from bnn_keras.training import seeds
from tests import small_run


class Trainer:
    """Stands in for training: writes the histories that it was given."""

    def __init__(self, *histories):
        self.histories, self.calls = dict(enumerate(histories)), []

    def __call__(self, seed, folder):
        self.calls.append((seed, folder))
        folder.mkdir(parents=True, exist_ok=True)
        rows = [f"{epoch},{accuracy}\n" for epoch, accuracy in enumerate(self.histories[seed], start=1)]
        RunFolder(folder).history.write_text("epoch,val_accuracy\n" + "".join(rows))


def test_mean_and_sample_deviation_of_the_best_accuracies(tmp_path, capsys):
    trainer = Trainer([0.1, 0.5, 0.2], [0.9], [0.1, 0.7, 0.7])
    seeds.run(trainer, 0, 3, tmp_path / "runs")
    assert trainer.calls == [(seed, tmp_path / "runs" / f"seed{seed}") for seed in range(3)]
    with open(tmp_path / "runs" / "seeds.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1", "2", "mean", "deviation"]
    assert [row["best_epoch"] for row in rows] == ["2", "1", "2", "", ""]
    best = np.array([0.5, 0.9, 0.7])
    expected = [*best, best.mean(), np.sqrt(((best - best.mean()) ** 2).sum() / 2)]
    np.testing.assert_allclose([float(row["best_accuracy"]) for row in rows], expected, rtol=1e-12)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["mean", "70.00", "%"] in shown and ["deviation", "20.00", "%"] in shown


def test_one_seed_has_no_deviation(tmp_path, capsys):
    seeds.run(Trainer([0.5]), 0, 1, tmp_path)
    assert "mean" in capsys.readouterr().out
    assert "deviation" not in (tmp_path / "seeds.csv").read_text()


def test_without_a_number_there_is_one_run_in_the_folder_itself(tmp_path, capsys):
    trainer = Trainer([0.5])
    seeds.run(trainer, 0, None, tmp_path)
    assert trainer.calls == [(0, tmp_path)] and not (tmp_path / "seeds.csv").exists()
    assert capsys.readouterr().out == ""


def test_seeds_begin_where_they_are_told(tmp_path):
    trainer = Trainer([], [], [0.5], [0.6])
    seeds.run(trainer, 2, 2, tmp_path)
    assert [seed for seed, _ in trainer.calls] == [2, 3]


def test_a_process_that_writes_nothing_reads_nothing(tmp_path, capsys):
    calls = []
    seeds.run(lambda seed, folder: calls.append(seed), 0, 2, tmp_path, writes=False)
    assert calls == [0, 1] and not list(tmp_path.iterdir())


def test_the_folder_of_a_single_run_is_refused(tmp_path):
    RunFolder(tmp_path).config.write_text("{}")
    with pytest.raises(UserError, match="holds a single run; choose another --output_dir for several seeds"):
        seeds.run(Trainer([0.5]), 0, 1, tmp_path)


@pytest.mark.parametrize("count", [0, -2])
def test_too_few_seeds(tmp_path, count):
    with pytest.raises(UserError, match=f"number of seeds must be at least 1. Received: {count}"):
        seeds.run(Trainer([0.5]), 0, count, tmp_path)


def tiny():
    image = tf.keras.Input((32, 32, 3))
    x = tf.keras.layers.Conv2D(4, 3, strides=8)(image)
    return tf.keras.Model(image, tf.keras.layers.Dense(10)(tf.keras.layers.Flatten()(x)), name="tiny")


def train_tiny(seed, folder):
    training.make_deterministic(seed)
    network = tiny()
    recipe = Recipe(epochs=1, batch_size=8, optimizer="adam", learning_rate=0.01)
    digits = data.open("digits", train_examples=32)
    with small_run.no_report():
        training.train(network, digits, recipe, folder, seed=seed)


@pytest.mark.large
def test_each_seed_is_what_it_would_be_alone_and_a_finished_one_is_kept(tmp_path, capsys):
    seeds.run(train_tiny, 0, 1, tmp_path / "runs")
    seeds.run(train_tiny, 0, 2, tmp_path / "runs")
    assert "seed0 is finished" in capsys.readouterr().out
    train_tiny(1, tmp_path / "alone")
    one, alone, other = (
        tf.keras.models.load_model(folder / "model.keras")
        for folder in (tmp_path / "runs" / "seed1", tmp_path / "alone", tmp_path / "runs" / "seed0")
    )
    for ours, theirs in zip(one.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (one.get_weights()[0] != other.get_weights()[0]).any()
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]


def test_the_flag(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(seeds, "run", lambda *arguments: calls.append(arguments))
    assert cli.run(["train", "--seeds=3", "--seed=4", f"--output_dir={tmp_path}"]) == 0
    ((_, first, count, folder, writes),) = calls
    assert (first, count, str(folder), writes) == (4, 3, str(tmp_path), True)
