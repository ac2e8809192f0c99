"""The progress of a run, with a clock that the test sets."""

import types

import pytest

from bnn_keras import status
from bnn_keras.training import progress


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def shown(first_step=0, interval=30.0, epochs=3, metrics=()):
    """A progress of epochs of ten steps of 64 images, and what it records."""
    records = []
    bar = progress.Progress(
        epochs,
        10,
        64,
        first_step=lambda: first_step,
        settings=lambda: {"learning_rate": 0.1},
        interval=interval,
        record=lambda step, means: records.append((step, means)),
    )
    bar.set_model(types.SimpleNamespace(metrics=metrics))
    return bar, records


def steps(bar, clock, seconds, loss=1.0):
    """Steps that take so many seconds each; the loss is the mean since the epoch began."""
    for batch, duration in enumerate(seconds):
        clock.now += duration
        bar.on_train_batch_end(batch, {"loss": loss, "accuracy": 0.5})


def test_a_log_has_a_line_in_every_interval(clock, capsys):
    bar, _ = shown()
    bar.on_epoch_begin(0)
    steps(bar, clock, [100, 20, 20, 20, 20])
    # The first step, which builds the graph, does not count: 20 s a step, so 64 images take 20 s.
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/3: building the training graph",
        "epoch 1/3, step 1/10: loss 1.0000, accuracy 0.5000",
        "epoch 1/3, step 3/10: ETA 2m20s, run 9m00s, 3.2 images/s, loss 1.0000, accuracy 0.5000",
        "epoch 1/3, step 5/10: ETA 1m40s, run 8m20s, 3.2 images/s, loss 1.0000, accuracy 0.5000",
    ]


def test_the_time_that_is_left_counts_validation_and_the_steps_after_a_resumption(clock, capsys):
    bar, _ = shown(first_step=6)
    bar.on_epoch_begin(1)
    steps(bar, clock, [100, 1, 1, 1])
    clock.now += 50
    bar.on_test_batch_end(0)
    bar.on_epoch_end(1, {"loss": 0.5, "val_loss": 0.25})
    capsys.readouterr()
    bar._first_step = lambda: 0
    bar.on_epoch_begin(2)
    steps(bar, clock, [1] * 4 + [31])
    # 38 s for 8 steps; the validation took 50 s.
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "epoch 3/3, step 5/10: ETA 24s, run 1m14s, 13 images/s, loss 1.0000, accuracy 0.5000"


def test_an_epoch_ends_with_the_metrics_of_both_sets_of_images(clock, capsys):
    bar, _ = shown()
    bar.on_epoch_begin(9)
    steps(bar, clock, [6] * 10)
    clock.now += 40
    bar.on_test_batch_end(6)
    logs = {"loss": 2.0, "accuracy": 0.125, **{f"other_loss{i}": 1e-5 for i in range(3)}}
    bar.on_epoch_end(9, {**logs, "val_loss": 1.5, "val_accuracy": 0.25})
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:] == [
        "epoch 10/3: held-out images, batch 7",
        "epoch 10/3, 1m40s: loss 2.0000, accuracy 0.1250, other_loss0 1e-05,",
        "                   other_loss1 1e-05, other_loss2 1e-05, learning_rate 0.1000",
        "         held out: loss 1.5000, accuracy 0.2500",
    ]


def test_a_terminal_is_redrawn_and_the_results_stay(clock, capsys, monkeypatch):
    monkeypatch.setattr(status, "on_terminal", lambda: True)
    bar, _ = shown()
    bar.on_epoch_begin(0)
    steps(bar, clock, [0.3, 0.1, 0.2])
    bar.on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0})
    drawn = capsys.readouterr().out.split(status.ERASE)[1:]
    assert [text.split(":")[0] for text in drawn[:-1]] == [
        "epoch 1/3",
        "epoch 1/3, step 1/10",
        "epoch 1/3, step 3/10",
    ]
    assert "\n" not in "".join(drawn[:-1]) and drawn[-1].startswith("epoch 1/3, 1s: loss 1.0000, ")


def test_means_of_the_intervals_are_recorded(clock):
    bar, records = shown(interval=30)
    bar.on_epoch_begin(0)
    steps(bar, clock, [20, 20], loss=3.0)  # the mean of 2 steps
    steps(bar, clock, [20, 20], loss=2.5)  # of 4: the last two have 2.0
    steps(bar, clock, [1] * 6, loss=9.0)
    assert [step for step, _ in records] == [2, 4]
    assert records[0][1] == {"loss": 3, "accuracy": 0.5, "learning_rate": 0.1, "images_per_second": 3.2}
    assert records[1][1]["loss"] == pytest.approx(2.0)


def test_a_short_epoch_is_recorded_once_and_a_resumed_one_from_where_it_was_resumed(clock):
    restored = [types.SimpleNamespace(name="loss", result=lambda: 4.0)]
    bar, records = shown(first_step=5, metrics=restored)
    bar.on_epoch_begin(0)
    steps(bar, clock, [0.1] * 5, loss=3.0)  # of 10; the first five, before the resumption, had 4.0
    ((step, means),) = records
    assert step == 10 and means["loss"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59.6, "1m00s"), (571, "9m31s"), (68_523, "19h02m"), (273_600, "3d04h")],
)
def test_durations_have_two_units(seconds, text):
    assert progress.duration(seconds) == text
