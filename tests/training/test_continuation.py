"""A run that is stopped, extended, or ended early; and a start that fails."""

import json
import shutil

import pytest

from bnn_keras import runs
from bnn_keras.errors import UserError
from tests import small_run
from tests.small_run import RECIPE
from tests.training.test_safety import assert_same

# With everything that has a state of its own.
BUSY = RECIPE.replace(epochs=1, accumulate=2, ema_decay=0.9, precision="mixed_bfloat16", patience=5)


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A run of one epoch that is extended by a second one, as a whole."""
    folder = runs.RunFolder(tmp_path_factory.mktemp("runs") / "busy")
    return folder, small_run.train(folder.path, BUSY.extend(2))


def stop_after(steps):
    """Asks for the end after a number of steps."""
    asked = iter([False] * (steps - 1))
    return lambda: next(asked, True)


def test_a_stopped_run_that_is_resumed_and_extended_ends_as_if_it_had_not_been(busy, tmp_path, capsys):
    whole, _ = busy
    folder = runs.RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        small_run.train(folder.path, BUSY, stop=stop_after(3))
    small_run.train(folder.path, BUSY.extend(2))
    assert "resuming at epoch 1, step 3 (global step 3)" in capsys.readouterr().out
    assert_same(folder, whole)
    assert folder.read_config().recipe.extensions == (1,)


def test_a_finished_run_goes_on_when_it_is_extended(busy, tmp_path, capsys):
    folder = runs.RunFolder(shutil.copytree(busy[0].path, tmp_path / "run"))
    with pytest.raises(KeyboardInterrupt):
        small_run.train(folder.path, BUSY.extend(2).extend(3), extra_callbacks=[small_run.StopAtStart()])
    assert "resuming at epoch 3, step 0 (global step 8)" in capsys.readouterr().out
    assert folder.read_config().recipe.extensions == (1, 1) and not folder.finished.exists()


@pytest.mark.large
def test_a_run_that_is_stopped_and_extended_ends_as_if_it_had_not_been(busy, tmp_path, capsys):
    whole, _ = busy
    folder = runs.RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        small_run.train(folder.path, BUSY, stop=stop_after(3))
    small_run.train(folder.path, BUSY)
    assert "resuming at epoch 1, step 3 (global step 3)" in capsys.readouterr().out
    assert folder.finished.is_file()
    small_run.train(folder.path, BUSY.extend(2))
    assert "resuming at epoch 2, step 0 (global step 4)" in capsys.readouterr().out
    assert_same(folder, whole)
    assert folder.read_config().recipe.extensions == (1,)


def test_a_run_cannot_be_shortened(busy):
    folder, _ = busy
    with pytest.raises(UserError, match=r"its extensions is \[1\], asked for is \[\]"):
        small_run.train(folder.path, BUSY)
    with pytest.raises(
        UserError, match=r"A run of 2 epochs can be extended and not shortened. Received: epo"
    ):
        BUSY.extend(2).extend(1)
    assert BUSY.extend(1) == BUSY and BUSY.extend(2).extend(5).extensions == (1, 3)


def test_a_run_that_gets_no_better_stops_early(tmp_path, capsys):
    folder = runs.RunFolder(tmp_path / "run")
    recipe = RECIPE.replace(epochs=9, learning_rate=1e-12, patience=1)
    small_run.train(folder.path, recipe)
    history = small_run.rows(folder.history)
    accuracies = [float(row["val_accuracy"]) for row in history]
    assert len(history) < 9 and accuracies[-1] <= accuracies[-2]
    assert folder.finished.read_text().startswith(f"stopped after epoch {len(history)} of 9; reached ")
    # Killed before it was finished.
    folder.finished.unlink()
    capsys.readouterr()
    small_run.train(folder.path, recipe)
    assert f"resuming after epoch {len(history)}, the last (global step" in capsys.readouterr().out
    assert small_run.rows(folder.history) == history


def test_a_start_that_fails_leaves_no_folder(tmp_path):
    (tmp_path / "wrong.keras").write_text("no model")
    with pytest.raises(UserError, match="not a whole .keras file"):
        small_run.train(tmp_path / "run", weights=tmp_path / "wrong.keras")
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_checkpoint_belongs_to_the_next_run(busy, tmp_path):
    """A start that was ended before its first step does not keep others away."""
    whole, _ = busy
    folder = runs.RunFolder(tmp_path)
    folder.claim(whole.read_config())
    other = whole.read_config().__class__(**{**vars(whole.read_config()), "seed": 4})
    with folder.locked(), pytest.raises(UserError, match="Another process is training in"):
        folder.claim(other)
    folder.claim(other)
    assert json.loads(folder.config.read_text())["seed"] == 4
    shutil.copytree(whole.checkpoints, folder.checkpoints)
    with pytest.raises(UserError, match="its seed is 4, asked for is 3"):
        folder.claim(whole.read_config())
