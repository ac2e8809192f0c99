"""A run: the files that it writes, the mistakes that it refuses, and its losses, labels and metrics."""

import resource
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import runs, training
from bnn_keras.errors import UserError
from bnn_keras.training import flips, objective
from bnn_keras.training.checkpoints import Checkpoints, remove_partial
from tests import small_run
from tests.event_files import events
from tests.small_run import RECIPE, digits, rows, train, weights_of


def test_a_run_leaves_everything(finished):
    folder, network = finished
    config = folder.read_config()
    assert config.recipe == RECIPE.effective("digits") and config.classes == 10 and config.seed == 3
    assert config.model == "tiny" and config.normalization == "digits"
    assert config.environment["tensorflow"] == tf.__version__
    assert folder.class_names() == list("0123456789")
    assert [row["epoch"] for row in rows(folder.history)] == ["1", "2"]
    assert len(rows(folder.flips)) == 2 * len(flips.binary_kernels(network)) == 4
    assert [len(list(part.iterdir())) for part in folder.tensorboard.iterdir()] == [1, 1]
    assert {p.name for p in folder.pictures.iterdir()} == {"curves.png", "flips.png"}
    page = folder.report.read_text()
    assert "Flips of binary weights" in page and "Sample predictions" in page
    assert len(list(folder.checkpoints.glob("*.index"))) == 2
    assert not list(folder.path.rglob("*.partial*"))


def test_saved_models_are_the_last_and_the_best_without_an_optimizer(finished):
    folder, network = finished
    last = tf.keras.models.load_model(folder.last_model)
    assert last.optimizer is None
    for saved, held in zip(last.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, held)
    best = tf.keras.models.load_model(folder.best_model)
    images, labels = next(digits().test(500).as_numpy_iterator())
    measured = np.mean(best.predict(images, verbose=0).argmax(-1) == labels)
    recorded = max(float(row["val_accuracy"]) for row in rows(folder.history))
    assert measured == pytest.approx(recorded, abs=1e-6)


def test_the_last_line_says_what_was_reached_and_how_to_convert(finished, capsys):
    folder, _ = finished
    best = max(float(row["val_accuracy"]) for row in rows(folder.history))
    sentence = folder.finished.read_text()
    assert f"{100 * best:.2f} %" in sentence and f"bnn convert {folder.path}" in sentence


def test_a_finished_run_says_so_and_changes_nothing(finished, capsys):
    folder, _ = finished
    before = {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")}
    train(folder.path)
    assert f"is finished:\n{folder.finished.read_text().strip()}" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")} == before


@pytest.mark.parametrize("change", [{"learning_rate": 0.02}, {"batch_size": 8}, {"epochs": 3}])
def test_the_folder_of_another_run_is_refused(finished, change):
    folder, _ = finished
    ((key, value),) = change.items()
    there = getattr(RECIPE, key)
    with pytest.raises(UserError, match=f"its {key} is {there}, asked for is {value}"):
        train(folder.path, RECIPE.replace(**change))


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"neither empty nor a run folder: it holds 'thesis.tex'"):
        train(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model": ')
    with pytest.raises(UserError, match=r"config.json is not a whole JSON file"):
        train(tmp_path)


def test_a_network_for_other_images_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"has 7 classes; digits has images of .* and 10 classes"):
        training.train(small_run.network(classes=7), digits(), RECIPE, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"batch_size": 65}, "batch size must be from 1 to 64"),
        ({"epochs": 0}, "epochs must be a whole number from 1 up. Received: 0"),
        ({"learning_rate": -1.0}, "learning_rate must be a number above 0. Received: -1.0"),
        ({"optimizer": "lamb"}, "optimizer must be one of adam, .*radam.* Received: 'lamb'"),
    ],
)
def test_impossible_recipes_are_refused_before_anything_is_written(tmp_path, change, sentence):
    with pytest.raises(UserError, match=sentence):
        train(tmp_path / "run", RECIPE.replace(**change))
    assert not (tmp_path / "run").exists()


def test_impossible_seed_and_checkpoint_steps(tmp_path):
    with pytest.raises(UserError, match=r"seed must be a whole number from 0 up. Received: -1"):
        training.make_deterministic(-1)
    with pytest.raises(UserError, match=r"log_seconds must be a number from 0 up. Received: -1"):
        train(tmp_path / "run", log_seconds=-1)
    with pytest.raises(UserError, match=r"checkpoint_steps must be a whole number from 1 up. Received: 0"):
        train(tmp_path / "run", checkpoint_steps=0)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    recipe = RECIPE.replace(optimizer="sgd", learning_rate=3e38)
    with pytest.raises(UserError, match=r"The loss is (nan|inf) in step \d+ .*lower --learning_rate"):
        train(tmp_path / "run", recipe)
    assert not (tmp_path / "run" / "best.keras").exists()


def test_a_run_says_how_it_trains_and_starts_from_given_weights(finished, tmp_path, capsys):
    folder, _ = finished
    seen = []

    class Look(tf.keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.extend(self.model.get_weights())
            raise KeyboardInterrupt

    recipe = RECIPE.replace(warmup_epochs=1)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", recipe, weights=folder.best_model, extra_callbacks=[Look()])
    for a, b in zip(seen, weights_of(folder.best_model), strict=True):
        np.testing.assert_array_equal(a, b)
    shown = " ".join(capsys.readouterr().out.split())
    assert "recipe: epochs=2, batch_size=16, optimizer=radam, learning_rate=0.01" in shown
    assert "warmup_epochs=1" in shown and f"weights from {folder.best_model}" in shown


class Progress(tf.keras.Model):
    """A trainer that counts its steps, in a metric and in a variable, and notes the types of its labels."""

    def __init__(self, network):
        super().__init__(network.inputs, network.outputs)
        self.extra_state = [tf.Variable(0.0, trainable=False)]
        self.calls = tf.keras.metrics.Mean(name="calls")
        self.labels = {}

    def train_step(self, data):
        self.labels["training"] = data[1].dtype, len(data[1].shape)
        return super().train_step(data)

    def test_step(self, data):
        self.labels["held out"] = data[1].dtype, len(data[1].shape)
        return super().test_step(data)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        self.extra_state[0].assign_add(1.0)
        self.calls.update_state(self.extra_state[0])
        return 2 * super().compute_loss(x, y, y_pred, sample_weight)


class Stop(tf.keras.callbacks.Callback):
    """Interrupts a run after a number of steps."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def on_train_batch_end(self, batch, logs=None):
        self.after -= 1
        if not self.after:
            raise KeyboardInterrupt


def test_a_network_without_progressive_kernels_has_no_temperature(finished):
    folder, _ = finished
    assert "temperature" not in rows(folder.history)[0]


def test_a_trainer_of_the_callers_own_is_fitted_recorded_and_resumed(tmp_path):
    made, recipe = [], RECIPE.replace(label_smoothing=0.1)

    def make(network):
        made.append(Progress(network))
        return made[-1]

    options = {"make_trainer": make, "checkpoint_steps": 2, "log_seconds": 0}
    with pytest.raises(KeyboardInterrupt):  # one step after a checkpoint
        train(tmp_path / "run", recipe, extra_callbacks=[Stop(after=7)], **options)
    train(tmp_path / "run", recipe, **options)
    # An epoch: 4 steps, and 23 of the held-out images; one of those when each process begins.
    held_out = -(-digits().num_test // RECIPE.batch_size)
    assert float(made[1].extra_state[0]) == 1 + 2 * (4 + held_out)
    history = rows(tmp_path / "run" / "history.csv")
    assert [float(row["calls"]) for row in history] == [1 + 2.5, 1 + 4 + held_out + 2.5]
    assert {"val_calls", "val_accuracy"} < set(history[0])
    # TensorBoard has every step once, the seventh too, and both parts have the epochs.
    training, held_out = (events(tmp_path / "run" / "tensorboard" / part) for part in ("train", "validation"))
    assert list(training["step/loss"]) == list(training["step/learning_rate"]) == list(range(1, 9))
    for name in ("loss", "accuracy"):
        assert list(training[name]) == list(held_out[name]) == [4, 8]
        assert list(training[name].values()) == pytest.approx([float(row[name]) for row in history])
    means = np.array(list(training["step/loss"].values())).reshape(2, 4).mean(1)
    assert means == pytest.approx(list(training["loss"].values()), rel=1e-5)
    assert sum(name.startswith("flips/") for name in training) == 2
    # Labels are smoothed in training only.
    assert made[1].labels == {"training": (tf.float32, 2), "held out": (tf.int64, 1)}


def test_smoothing_takes_from_every_class_and_gives_to_all():
    expected = np.full((2, 4), 0.025)
    expected[0, 3] = expected[1, 0] = 0.925
    np.testing.assert_allclose(objective.smooth(tf.constant([3, 0]), 4, 0.1), expected, rtol=1e-6)
    shares = tf.constant([[0.25, 0.75, 0, 0]])
    np.testing.assert_allclose(objective.smooth(shares, 4, 0.2), [[0.25, 0.65, 0.05, 0.05]], rtol=1e-6)


def test_labels_may_be_classes_or_shares():
    logits = tf.constant(np.random.default_rng(0).normal(size=(6, 8)), tf.float32)
    classes = tf.constant([[0], [3], [7], [1], [1], [5]])
    shares = tf.one_hot(classes[:, 0], 8) * 0.9 + 0.1 / 8
    logs = np.log(tf.nn.softmax(logits))
    loss = objective.CrossEntropy()
    assert float(loss(classes, logits)) == pytest.approx(-logs[range(6), classes[:, 0]].mean(), rel=1e-6)
    assert float(loss(shares, logits)) == pytest.approx(-(shares * logs).numpy().sum(-1).mean(), rel=1e-6)
    hit = np.mean(logits.numpy().argmax(-1) == classes[:, 0])
    in_top = np.mean(
        [c in np.argsort(row)[-5:] for c, row in zip(classes[:, 0], logits.numpy(), strict=True)]
    )
    for labels in (classes, shares):
        values = [metric(labels, logits).numpy() for metric in objective.metrics(8)]
        assert values == pytest.approx([hit, in_top])
    assert [metric.name for metric in objective.metrics(5)] == ["accuracy"]


def test_tables_are_cut_back_to_the_checkpoint(tmp_path):
    table = runs.Table(tmp_path / "t.csv", ["epoch", "loss"])
    table.append([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    again = runs.Table(tmp_path / "t.csv", ["epoch", "loss"])
    again.cut(1)
    assert (tmp_path / "t.csv").read_text() == "epoch,loss\n1,0.5\n"


def test_damaged_checkpoints_are_named(tmp_path):
    saved = Checkpoints(tmp_path, value=tf.Variable(np.arange(1000)))
    assert not saved.restore(tmp_path)
    saved.save()
    assert saved.restore(tmp_path)
    (shard,) = tmp_path.glob("*.data-*")
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(UserError, match=r"Cannot read checkpoint .*ckpt-1"):
        saved.restore(tmp_path)
    shard.unlink()
    with pytest.raises(UserError, match=r"Cannot read checkpoint .*ckpt-1"):
        saved.restore(tmp_path)
    (tmp_path / "checkpoint").write_text("model_checkpoint_path: 'ckp")
    for function in (saved.restore, remove_partial):
        with pytest.raises(UserError, match=r"Cannot read .*/checkpoint, the list of checkpoints"):
            function(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "ckpt-1.index"}


def test_the_partial_files_of_a_killed_process_are_removed(tmp_path):
    """What TensorFlow leaves when its process is killed at any moment, before and after a checkpoint."""
    checkpoints = tmp_path / "checkpoints"
    for prefix in ("ckpt-1", "ckpt-12"):
        temporary = checkpoints / f"{prefix}_temp"
        temporary.mkdir(parents=True)
        (temporary / "part-00000-of-00001.data-00000-of-00001").write_text("")
        for end in (".index", ".data-00000-of-00001", ".data-00000-of-00001.tempstate123"):
            (checkpoints / f"{prefix}{end}").write_text("")
    (checkpoints / "checkpoint.tmp0a1b").write_text("")
    (checkpoints / "notes.txt").write_text("the user's own")
    remove_partial(checkpoints)
    assert [path.name for path in checkpoints.iterdir()] == ["notes.txt"]
    saved = Checkpoints(checkpoints, value=tf.Variable(1))
    for _ in range(3):
        saved.save()
    whole = {path.name for path in checkpoints.iterdir()}
    (checkpoints / "ckpt-4.index").write_text("")
    (checkpoints / "ckpt-3_temp").mkdir()
    remove_partial(checkpoints)
    assert {path.name for path in checkpoints.iterdir()} == whole
    assert {"ckpt-2.index", "ckpt-3.index", "notes.txt"} < whole and "ckpt-1.index" not in whole
    remove_partial(tmp_path / "nothing")


@pytest.mark.parametrize("limit", [300, 70_000], ids=["config", "model"])
def test_a_full_disk_is_one_sentence_and_nothing_half_written(tmp_path, limit):
    """A limit on the size of files stands for the end of the disk; see also `test_safety`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(UserError, match="Cannot write"):
            train(tmp_path / "run", checkpoint_steps=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    left = [p.name for p in (tmp_path / "run").iterdir() if p.is_file()]
    assert not [name for name in left if "partial" in name or name.endswith(".keras")]


def test_an_output_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write .*file"):
        train(tmp_path / "file" / "run")


def test_default_folder_names():
    assert runs.default("meliusnet29", "digits") == Path("runs/meliusnet29-digits")
    assert runs.default("m", "folder:/data/my flowers/") == Path("runs/m-my-flowers")
    assert runs.default("m", "mnist/config:1.0.0") == Path("runs/m-mnist-config-1.0.0")
