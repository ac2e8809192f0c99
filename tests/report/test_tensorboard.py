"""The event files of a run are read back as TensorBoard reads them."""

import numpy as np
import pytest

from bnn_keras.report import Events
from bnn_keras.runs import RunFolder
from tests.event_files import events


@pytest.fixture
def folder(tmp_path):
    """With the events of two epochs of four steps, of which the second is not complete."""
    folder, flips = RunFolder(tmp_path), {"block0/conv": np.array([[0, 0], [3, 1]])}
    written = Events(folder)
    for step in (2, 4, 6, 7):
        written.write("train", step, {"step/loss": 1 / step})
        if step == 4:
            written.write_epoch(step, {"loss": 0.5, "learning_rate": 0.1, "val_loss": 0.7}, flips)
    written.close()
    return folder


def files(folder):
    return sorted(str(path.parent.name) for path in folder.tensorboard.glob("*/*"))


def test_training_and_validation_have_the_same_tags(folder):
    training, held_out = (events(folder.tensorboard / part) for part in ("train", "validation"))
    assert training["loss"] == {4: 0.5} and held_out["loss"] == pytest.approx({4: 0.7})
    assert set(training) == {"loss", "learning_rate", "step/loss", "flips/block0/conv"}
    assert files(folder) == ["train", "validation"]


def test_flips_are_histograms(folder):
    # Buckets: from, to, number of weights.
    buckets = events(folder.tensorboard / "train")["flips/block0/conv"][4]
    assert buckets[0, 0] == 0 and buckets[-1, 1] == 3 and buckets[:, 2].sum() == 4
    assert buckets[0, 2] == 2  # weights that did not flip


def test_a_resumed_run_has_no_step_twice(folder):
    for _ in range(2):  # resumed twice
        again = Events(folder)
        again.cut(6)
        assert list(events(folder.tensorboard / "train")["step/loss"]) == [2, 4, 6]
        again.write("train", 7, {"step/loss": 5.0})
        again.close()
        assert events(folder.tensorboard / "train")["step/loss"][7] == 5
        assert files(folder) == ["train", "train", "validation"]
    Events(folder).cut(0)
    assert files(folder) == []


@pytest.mark.parametrize("missing", [1, 20])
def test_an_incomplete_last_event_is_left_out(folder, missing):
    (file,) = (folder.tensorboard / "train").iterdir()
    file.write_bytes(file.read_bytes()[:-missing])
    Events(folder).cut(7)
    assert list(events(folder.tensorboard / "train")["step/loss"]) == [2, 4, 6]
