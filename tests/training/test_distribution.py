"""Training on several workers: which of them writes, and that they agree with one process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import cli, runs
from bnn_keras.errors import UserError
from bnn_keras.training import distribution
from tests import small_run

ROOT = Path(__file__).parents[2]


def test_a_strategy_of_several_workers_needs_a_cluster(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(UserError, match="need TF_CONFIG in the environment"):
        distribution.strategy_of(None)


@pytest.mark.parametrize(
    ("kind", "index", "jobs", "writes"),
    [
        (None, None, [], True),
        ("worker", 0, ["worker"], True),
        ("worker", 1, ["worker"], False),
        ("chief", 0, ["chief", "worker"], True),
        ("worker", 0, ["chief", "worker"], False),
    ],
)
def test_one_worker_writes(kind, index, jobs, writes, tmp_path):
    class Resolver:
        task_type, task_id = kind, index

        def cluster_spec(self):
            return tf.train.ClusterSpec({job: ["a:1", "b:1"] for job in jobs})

    class Strategy:
        cluster_resolver = Resolver()

    assert distribution.is_chief(Strategy()) is writes
    with distribution.place_to_write(Strategy(), tmp_path / "run") as place:
        assert (place == tmp_path / "run") is writes
        place.mkdir()
    assert place.exists() is writes


def test_what_a_killed_worker_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    class Strategy:
        class cluster_resolver:  # noqa: N801
            task_type, task_id = "worker", 1

            def cluster_spec():
                return tf.train.ClusterSpec({"worker": ["a:1", "b:1"]})

    with distribution.place_to_write(Strategy(), tmp_path / "run") as place:
        place.mkdir()
        with distribution.place_to_write(Strategy(), tmp_path / "other") as other:
            other.mkdir()
            assert place.exists()
        # As if this process had been killed and started again.
        with distribution.place_to_write(Strategy(), tmp_path / "run") as again:
            assert again == place and not place.exists()
    assert not list(tmp_path.iterdir())


def test_a_batch_that_the_replicas_cannot_share():
    class Strategy:
        num_replicas_in_sync = 3

    with pytest.raises(UserError, match="multiple of the 3 replicas. Received: 16"):
        distribution.check_batch(Strategy(), 16)


def test_unknown_strategies_are_refused():
    with pytest.raises(UserError, match="strategy 'mirrord'; did you mean mirrored"):
        distribution.strategy_of("mirrord")


SGD = small_run.RECIPE.replace(optimizer="sgd", learning_rate=0.1)
OPTIONS = "--optimizer=sgd", "--learning_rate=0.1", "--checkpoint_steps=2"
ONE_EPOCH = "--epochs=1", "--sync_batch_norm"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """An undisturbed run of an epoch in one process."""
    folder = runs.RunFolder(tmp_path_factory.mktemp("runs") / "alone")
    small_run.train(folder.path, SGD.replace(epochs=1))
    return folder


def train_together(folder, *options):
    """A run of two workers on this machine."""
    program = str(ROOT / "tests" / "small_run.py")
    command = ["launch", "--workers=2", "--", program, f"--output_dir={folder}", *OPTIONS, *options]
    temporary = folder.with_name("temporary")
    temporary.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("TMPDIR", str(temporary))
        assert cli.run(command) == 0
    assert not list(temporary.glob("bnn_keras*"))
    return runs.RunFolder(folder)


def assert_trained_alike(together, alone):
    """Compare two runs that add up the same numbers in another order."""
    for columns, tolerance in ((("loss", "accuracy", "learning_rate"), 1e-4), (("val_loss",), 0.02)):
        ours, expected = (numbers(folder.history, *columns) for folder in (together, alone))
        np.testing.assert_allclose(ours, expected, rtol=tolerance)
    flips = numbers(together.flips, "mean", "stable", "p99", "p100")
    np.testing.assert_array_equal(flips, numbers(alone.flips, "mean", "stable", "p99", "p100"))
    assert flips[:, 0].min() > 0


def numbers(path, *columns):
    return np.array([[float(row[column]) for column in columns] for row in small_run.rows(path)])


@pytest.mark.large
def test_two_workers_of_which_one_is_killed_train_as_one_alone(tmp_path, capfd, alone):
    together = train_together(tmp_path / "together", *ONE_EPOCH, "--kill=1:3")
    shown = capfd.readouterr().out
    assert "worker 1 was killed by SIGKILL; all start again\n" in shown
    assert "resuming at epoch 1, step 2 (global step 2)" in shown
    assert_trained_alike(together, alone)
    names = [{path.name for path in folder.path.iterdir()} for folder in (together, alone)]
    assert names[0] == names[1]
    assert together.read_config().replicas == 2


@pytest.mark.large
def test_two_devices_of_one_process_train_as_one(tmp_path, alone):
    done = small_run.command(tmp_path / "run", *OPTIONS, *ONE_EPOCH, "--devices=2")
    assert done.returncode == 0, done.stderr
    assert_trained_alike(runs.RunFolder(tmp_path / "run"), alone)


@pytest.mark.large
def test_two_workers_follow_the_loss_curve_of_one(tmp_path):
    """They are no further from one with the same seed than another seed is."""
    settings = "--model=meliusnet22", "--train_examples=512", "--epochs=4"
    two = cli.run(["launch", "--workers=2", "--", str(ROOT / "train.py"), *settings, "--sync_batch_norm",
                       f"--output_dir={tmp_path}/two"])  # fmt: skip
    assert two == 0
    train = [sys.executable, str(ROOT / "train.py"), *settings, f"--output_dir={tmp_path}/one", "--seeds=2"]
    subprocess.run(train, check=True, cwd=ROOT)
    two, one, other = (numbers(tmp_path / name / "history.csv", "loss", "val_loss")
                       for name in ("two", "one/seed0", "one/seed1"))  # fmt: skip
    assert np.all(np.abs(two - one).mean(0) < np.abs(one - other).mean(0))


@pytest.mark.large
@pytest.mark.parametrize("options", [["--sync_batch_norm"], []], ids=["synchronized", "apart"])
def test_killed_again_and_again_two_workers_end_where_an_undisturbed_run_does(options, tmp_path):
    options = ["--epochs=3", *options]
    whole = train_together(tmp_path / "whole", *options)
    killed = train_together(tmp_path / "killed", "--kill=0:1,1:3,0:4,1:8,0:11,1:12", *options)
    assert len(list(tmp_path.glob("killed.killed-*"))) == 6
    assert killed.flips.read_text() == whole.flips.read_text()
    apart = "--sync_batch_norm" not in options
    ours, expected = (small_run.rows(folder.history, but=["seconds"]) for folder in (killed, whole))
    for row, other in zip(ours, expected, strict=True):
        for column in ("epoch", "accuracy", *([] if apart else ["val_accuracy"])):
            assert row[column] == other[column]
        # Both workers' sums of an epoch, which a checkpoint holds as one, are rounded in another order.
        np.testing.assert_allclose(float(row["loss"]), float(other["loss"]), rtol=1e-6)
    weights = zip(*(small_run.weights_of(folder.last_model) for folder in (killed, whole)), strict=True)
    for name, (a, b) in zip([w.name for w in small_run.network().weights], weights, strict=True):
        if "moving" in name and apart:
            # Each worker's own, of which a checkpoint keeps the mean.
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(a, b)
