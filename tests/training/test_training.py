"""A run: what it leaves, what it refuses, and that a killed one ends like an undisturbed one."""

import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import runs, training
from bnn_keras.errors import UserError
from bnn_keras.nn import quantizers
from bnn_keras.training import flips, objective
from bnn_keras.training import loop as run
from tests import small_run
from tests.networks import binary_conv
from tests.small_run import RECIPE, digits, rows, train, weights_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, and what its network computes."""
    folder = runs.RunFolder(tmp_path_factory.mktemp("runs") / "finished")
    return folder, train(folder.path)


def test_a_run_leaves_everything(finished):
    folder, network = finished
    config = folder.read_config()
    assert config.recipe == RECIPE and config.classes == 10 and config.seed == 3
    assert config.model == "tiny" and config.normalization == "digits"
    assert config.environment["tensorflow"] == tf.__version__
    assert folder.class_names() == list("0123456789")
    assert [row["epoch"] for row in rows(folder.history)] == ["1", "2"]
    assert len(rows(folder.flips)) == 2 * len(flips.binary_kernels(network)) == 4
    assert list(folder.tensorboard.iterdir())
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
    assert f"{100 * best:.2f} %" in sentence and f"python convert.py {folder.path}" in sentence


def test_a_finished_run_says_so_and_changes_nothing(finished, capsys):
    folder, _ = finished
    before = {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")}
    train(folder.path)
    assert f"is finished: {folder.finished.read_text().strip()}" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")} == before


def test_same_seed_same_weights(finished, tmp_path):
    _, network = finished
    again = train(tmp_path / "again")
    for a, b in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


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
    with pytest.raises(UserError, match=r"seed must be from 0 .* Received: -1"):
        training.make_deterministic(-1)
    with pytest.raises(UserError, match=r"checkpoint_steps must be at least 1. Received: 0"):
        train(tmp_path / "run", checkpoint_steps=0)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    recipe = RECIPE.replace(optimizer="sgd", learning_rate=3e38)
    with pytest.raises(UserError, match=r"The loss is (nan|inf) in step \d+ .*lower --learning_rate"):
        train(tmp_path / "run", recipe)
    assert not (tmp_path / "run" / "best.keras").exists()


def test_starts_from_weights_with_a_new_head(finished, tmp_path, capsys):
    folder, _ = finished
    training.make_deterministic(3)
    network = small_run.network()
    seen = []

    class Look(tf.keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.extend(network.get_weights())

    recipe = RECIPE.replace(epochs=1)
    training.train(network, digits(), recipe, tmp_path, weights=folder.best_model, extra_callbacks=[Look()])
    assert f"weights from {folder.best_model}" in capsys.readouterr().out
    for a, b in zip(seen, weights_of(folder.best_model), strict=True):
        np.testing.assert_array_equal(a, b)


class Progress(tf.keras.Model):
    """A trainer that counts its steps, in a metric and in a variable of its own."""

    def __init__(self, network):
        super().__init__(network.inputs, network.outputs)
        self.extra_state = [tf.Variable(0.0, trainable=False)]
        self.calls = tf.keras.metrics.Mean(name="calls")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        self.extra_state[0].assign_add(1.0)
        self.calls.update_state(self.extra_state[0])
        return 2 * super().compute_loss(x, y, y_pred, sample_weight)


def progressive():
    def convolution(filters, kernel_size, **settings):
        quantizer = quantizers.ProgressiveSign()
        return binary_conv(filters=filters, kernel_size=kernel_size, kernel_quantizer=quantizer, **settings)

    training.make_deterministic(3)
    return small_run.network(convolution=convolution)


class Stop(tf.keras.callbacks.Callback):
    """Interrupts in the middle of the second epoch."""

    steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == 6:
            raise KeyboardInterrupt


def test_the_temperature_falls_from_where_the_run_began_also_when_resumed(tmp_path, capsys):
    recipe = RECIPE.replace(epochs=4, temperature_decay=0.5)
    source = progressive()
    for quantizer in quantizers.progressive(source):
        quantizer.temperature.assign(0.5)
    run.save_model(source, tmp_path / "cooler.keras")
    options = {"weights": tmp_path / "cooler.keras", "checkpoint_steps": 1}
    with pytest.raises(KeyboardInterrupt):
        training.train(progressive(), digits(), recipe, tmp_path / "run", extra_callbacks=[Stop()], **options)
    network = progressive()
    training.train(network, digits(), recipe, tmp_path / "run", **options)
    assert "resuming at epoch 2, step 2" in capsys.readouterr().out
    temperatures = [float(row["temperature"]) for row in rows(tmp_path / "run" / "history.csv")]
    assert temperatures == [0.5, 0.25, 0.125, 0.0625]
    assert [float(q.temperature) for q in quantizers.progressive(network)] == [0.0625] * 2


def test_a_network_without_progressive_kernels_has_no_temperature(finished):
    folder, _ = finished
    assert "temperature" not in rows(folder.history)[0]


def test_a_trainer_of_the_callers_own_is_fitted_recorded_and_resumed(tmp_path):
    made = []

    def make(network):
        made.append(Progress(network))
        return made[-1]

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", make_trainer=make, checkpoint_steps=1, extra_callbacks=[Stop()])
    train(tmp_path / "run", make_trainer=make)
    # An epoch: 4 steps, and 23 of the held-out images; one of those when each process begins.
    held_out = -(-digits().num_test // RECIPE.batch_size)
    assert float(made[1].extra_state[0]) == 1 + 2 * (4 + held_out)
    history = rows(tmp_path / "run" / "history.csv")
    assert [float(row["calls"]) for row in history] == [1 + 2.5, 1 + 4 + held_out + 2.5]
    assert {"val_calls", "val_accuracy"} < set(history[0])


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


def test_smoothed_labels_are_trained_on_and_whole_ones_held_out(tmp_path):
    train(tmp_path / "run", RECIPE.replace(epochs=1, learning_rate=1e-9, label_smoothing=1.0))
    (row,) = rows(tmp_path / "run" / "history.csv")
    # All the same for every class: the argmax is the first one, and no label is left.
    training.make_deterministic(3)
    images = np.concatenate([x for x, _ in digits().train(16, 0, 3)])
    guessed = small_run.network()(images, training=True).numpy().argmax(-1)
    assert float(row["accuracy"]) == pytest.approx(np.mean(guessed == 0), abs=0.1)
    assert float(row["val_accuracy"]) > 0 and float(row["loss"]) > 2.3


def test_the_resolved_recipe_is_printed(finished, capsys, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", RECIPE.replace(warmup_epochs=1), extra_callbacks=[Stop()])
    head = " ".join(capsys.readouterr().out.split("epoch 1/2")[0].split())
    assert "recipe: epochs=2, batch_size=16, optimizer=radam, learning_rate=0.01" in head
    assert "warmup_epochs=1" in head


def test_flips_are_counted_as_numpy_counts_them():
    network = small_run.network()
    kernels = flips.binary_kernels(network)
    counter = flips.FlipCounter(network)
    counter.reset()
    random = np.random.default_rng(0)
    name, kernel = list(kernels.items())[1]
    states = [kernel.numpy()]
    for _ in range(6):
        # Exact zeros are +1, as for the quantizer.
        states.append(np.where(random.random(kernel.shape) < 0.2, 0, random.normal(size=kernel.shape)))
        kernel.assign(states[-1])
        counter.update()
    signs = np.array(states) >= 0
    counts = (signs[1:] != signs[:-1]).sum(0)
    row = {row["kernel"]: row for row in counter.rows(epoch=4)}[name]
    assert (row["epoch"], row["weights"]) == (4, counts.size)
    assert row["mean"] == pytest.approx(counts.mean())
    assert row["stable"] == pytest.approx((counts == 0).mean())
    assert [row[f"p{p}"] for p in (50, 90, 95, 99)] == list(np.percentile(counts, (50, 90, 95, 99)))
    assert all(r["mean"] == 0 and r["stable"] == 1 for r in counter.rows(4) if r["kernel"] != name)
    counter.reset()
    assert {r["mean"] for r in counter.rows(5)} == {0}


def test_killed_in_the_middle_of_an_epoch_and_resumed_is_bit_identical(finished, tmp_path):
    """Killed in epochs 1 and 2, with another interval of checkpoints than the undisturbed run."""
    undisturbed, _ = finished
    folder = runs.RunFolder(tmp_path / "killed")
    options = folder.path, "--checkpoint_steps=3", "--kill=0:4,0:7"
    assert small_run.command(*options).returncode == -signal.SIGKILL  # behind the last step of an epoch
    second = small_run.command(*options)
    assert second.returncode == -signal.SIGKILL
    assert "resuming at epoch 1, step 3 (global step 3)" in second.stdout
    (folder.path / ".best.1.partial.keras").write_text("what a killed process leaves")
    third = small_run.command(*options)
    assert third.returncode == 0, third.stderr
    assert "resuming at epoch 2, step 3 (global step 7)" in third.stdout
    for name in ("last_model", "best_model"):
        ours, expected = weights_of(getattr(folder, name)), weights_of(getattr(undisturbed, name))
        for a, b in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert rows(folder.history, but=["seconds"]) == rows(undisturbed.history, but=["seconds"])
    assert folder.flips.read_text() == undisturbed.flips.read_text()
    assert not list(folder.path.rglob("*.partial*"))


def test_tables_are_cut_back_to_the_checkpoint(tmp_path):
    table = runs.Table(tmp_path / "t.csv", ["epoch", "loss"])
    table.append([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    again = runs.Table(tmp_path / "t.csv", ["epoch", "loss"])
    again.cut(1)
    assert (tmp_path / "t.csv").read_text() == "epoch,loss\n1,0.5\n"


def test_a_damaged_checkpoint_is_named(tmp_path):
    class Stop(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", extra_callbacks=[Stop()])
    (shard,) = (tmp_path / "run" / "checkpoints").glob("*.data-*")
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"Cannot read checkpoint .*ckpt-1"):
        train(tmp_path / "run")


@pytest.mark.parametrize("limit", [300, 20_000, 70_000], ids=["config", "checkpoint", "model"])
def test_a_full_disk_is_one_sentence_and_nothing_half_written(tmp_path, limit):
    """The limit on a file's size stands for the disk's end: each kind of file meets it once."""
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
