"""Nothing is lost when a run fails: weights that are not finite, a full disk, a kill at any moment."""

import os
import random
import shutil
import time

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import runs
from bnn_keras.errors import UserError
from tests import small_run
from tests.training.test_workers import wait_for


@pytest.fixture
def undisturbed(finished):
    folder, _ = finished
    return folder


def assert_same(folder, expected):
    for name in ("last_model", "best_model"):
        pair = [small_run.weights_of(getattr(run, name)) for run in (folder, expected)]
        for a, b in zip(*pair, strict=True):
            np.testing.assert_array_equal(a, b)
    pair = [small_run.rows(run.history, but=["seconds"]) for run in (folder, expected)]
    assert pair[0] == pair[1]
    assert folder.flips.read_text() == expected.flips.read_text()


class Spoiled(tf.keras.Model):
    """A trainer whose sixth step leaves weights that are not finite, after a finite loss."""

    def train_step(self, data):
        logs = super().train_step(data)
        kernel = self.trainable_variables[0]
        sixth = tf.equal(self.optimizer.iterations, 6)
        kernel.assign(tf.where(sixth, tf.constant(float("nan")), kernel))
        return logs


def spoiled(network):
    return Spoiled(network.inputs, network.outputs)


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    folder = runs.RunFolder(tmp_path / "run")
    with pytest.raises(
        UserError, match=r"stem/kernel:0 is no longer finite in step 6 .*earlier checkpoints are kept"
    ):
        small_run.train(folder.path, make_trainer=spoiled, checkpoint_steps=1)
    assert all(np.isfinite(weight).all() for weight in small_run.weights_of(folder.best_model))


@pytest.mark.large
def test_a_run_whose_weights_were_no_numbers_is_resumed(tmp_path, undisturbed):
    folder = runs.RunFolder(tmp_path / "run")
    with pytest.raises(UserError, match="is no longer finite in step 6"):
        small_run.train(folder.path, make_trainer=spoiled, checkpoint_steps=1)
    # The last checkpoint is that of the fifth step; from there the run ends as if undisturbed.
    small_run.train(folder.path)
    assert_same(folder, undisturbed)


def test_a_run_folder_has_one_owner(undisturbed, tmp_path):
    folder = runs.RunFolder(tmp_path / "run")
    shutil.copytree(undisturbed.path, folder.path)
    folder.finished.unlink()
    with folder.locked(), pytest.raises(UserError, match=f"Another process is training in {folder.path}"):
        small_run.train(folder.path)
    small_run.train(folder.path)
    assert_same(folder, undisturbed)


@pytest.mark.large
def test_a_full_disk_keeps_the_last_checkpoint(small_disk, undisturbed):
    """A disk that ends twice, and grows: in the second checkpoint, and in the report."""
    folder = runs.RunFolder(small_disk(350) / "run")
    for larger in (900, 50_000):
        with pytest.raises(UserError, match=r"^Cannot write .*: [Nn]o space left on (the )?device[^;{}]*$"):
            small_run.train(folder.path, checkpoint_steps=2, drawn=True)
        small_disk(larger, again=True)
    small_run.train(folder.path, checkpoint_steps=2)
    assert_same(folder, undisturbed)
    assert not half_written(folder)


def half_written(folder):
    """Whether a file is only partly written."""
    names = (name for _, folders, files in os.walk(folder.path) for name in folders + files)
    return any(".partial" in name or "_temp" in name or "tempstate" in name for name in names)


@pytest.mark.large
def test_killed_at_twenty_moments_a_run_ends_as_if_it_had_not_been(tmp_path):
    """At ten random moments, and at ten in which a file is being written."""
    options = "--epochs=40", "--checkpoint_steps=1"
    whole = runs.RunFolder(tmp_path / "whole")
    assert small_run.command(whole.path, *options).returncode == 0
    folder = runs.RunFolder(tmp_path / "killed")
    chance, writing = random.Random(0), 0
    for i in range(20):
        with small_run.start(folder.path, *options) as process:
            for line in process.stdout:
                if line.startswith("epoch"):
                    break
            time.sleep(chance.uniform(0, 6))
            if i % 2:
                wait_for(lambda: half_written(folder), pause=0)
            process.kill()
        assert process.returncode == -9
        writing += half_written(folder)
    assert small_run.command(folder.path, *options).returncode == 0
    assert_same(folder, whole)
    assert writing > 3 and not half_written(folder)
