"""The benchmark of a training step: what it prints."""

import pytest

from bnn_keras.cli.benchmark import train
from bnn_keras.cli.benchmark import verbs as benchmark
from tests import small_run


# XLA takes its time to compile even a small step.
@pytest.mark.parametrize("flag", [pytest.param("--jit", marks=pytest.mark.large), "--mixed_precision"])
def test_everything_asked_for_is_measured(flag, monkeypatch, capsys):
    monkeypatch.setattr(train.registry, "build", lambda name, shape, classes: small_run.network(classes))
    words = [
        "benchmark",
        "train",
        "--model=bnext_t",
        "--image_size=32",
        "--batch_size=4",
        "--repeats=2",
        flag,
    ]
    assert benchmark.main(words) == 0
    shown = capsys.readouterr().out
    assert "bnext_t at 32 pixels, 4 images a step, adamw, 2 of each" in shown
    assert f"step with {flag[2:].replace('_', ' ')}: " in shown and "step with its input: " in shown
    assert "A/A ratio" in shown and "peak memory of the process: " in shown and "cores" in shown
