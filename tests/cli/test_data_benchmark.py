"""Interleaved timing, and the benchmark of the pipeline."""

import time

import pytest

from bnn_keras.cli.benchmark import data, timing
from bnn_keras.cli.benchmark import verbs as benchmark


def test_interleaved_takes_turns_and_times_the_baseline_twice():
    calls = []
    measured = timing.interleaved(
        {"slow": lambda: (calls.append("slow"), time.sleep(0.02)), "fast": lambda: calls.append("fast")}, 3
    )
    assert [sorted(calls[i : i + 3]) for i in (0, 3, 6)] == [["fast", "slow", "slow"]] * 3
    assert calls[:3] != calls[3:6] or calls[3:6] != calls[6:]
    assert len(measured.seconds["slow"]) == len(measured.again) == 3
    assert measured.median("slow") >= 0.02 and measured.ratio("fast") < 0.5
    assert measured.ratio("slow") == 1 and 0.5 < measured.aa_ratio < 2


def test_medians_and_ratios():
    measured = timing.Timing({"a": (1.0, 2.0, 9.0), "b": (4.0, 4.0, 1.0)}, (3.0, 1.0, 3.0))
    # Of 4, 2 and 1/9, and of 3, 1/2 and 1/3.
    assert (measured.median("a"), measured.ratio("b"), measured.aa_ratio) == (2.0, 2.0, 0.5)
    # Of 1/5, 2/6 and 9/10.
    assert measured.ratio("a", "a", "b") == 2 / 6


def test_machine_is_one_line():
    assert (
        "cores" in timing.machine() and "TensorFlow 2." in timing.machine() and "\n" not in timing.machine()
    )


def test_data_prints_every_throughput(shared, capsys):
    flags = ["--images=40", "--image_size=32", "--batch_size=16", "--repeats=1", "--lighting=0.1"]
    status = benchmark.main(["benchmark", "data", f"--data_dir={shared / 'tfds'}", *flags])
    out = capsys.readouterr().out
    assert status == 0
    for text in (
        "bare ",
        "training reaches",
        "augmented reaches",
        "images/s (median of 1)",
        "%",
        "A/A ratio",
        "32 images in batches of 16",
    ):
        assert text in out


@pytest.mark.parametrize(("main", "told"), [(benchmark.main, "VERB is one of"), (data.main, "--batch_size ")])
def test_help(main, told, capsys):
    assert main(["benchmark", "--help"]) == 0
    assert told in capsys.readouterr().out


def test_mistakes(tmp_path, capsys):
    assert benchmark.main(["benchmark", "dta"]) == 2
    assert "Unknown benchmark 'dta'; valid: data, convert, step" in capsys.readouterr().err
    assert benchmark.main(["benchmark"]) == 2
    assert data.main(["data", "--batch_size=4", "--images=3"]) == 2
    assert "from 1 to 3, the images. Received: 4" in capsys.readouterr().err
    assert data.main(["data", f"--data_dir={tmp_path}"]) == 2
    assert "imagenet2012 is not in" in capsys.readouterr().err
    assert data.main(["data", "word"]) == 2
    capsys.readouterr()
    assert data.main(["data", "--rand_augment=rand-q"]) == 2
    assert "rand_augment must read like" in capsys.readouterr().err
    for flag in ("images", "image_size", "batch_size", "repeats"):
        assert data.main(["data", f"--{flag}=0"]) == 2
