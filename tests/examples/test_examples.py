"""The scripts in examples/, with small settings: they end with a file that computes what it should."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from bnn_keras import deploy

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNS = {
    "own_model": (["--epochs=1", "--train_examples=64", "--output_dir=run"], "run/own_model.tflite", 32, 3),
    "own_images": (
        ["--epochs=1", "--count=60", "--small", "--output_dir=run"],
        "run/meliusneta.tflite",
        32,
        3,
    ),
    "plain_fit": (["--epochs=1", "--output=plain.tflite"], "plain.tflite", 8, 1),
}


def test_every_example_is_here():
    assert {file.stem for file in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_an_example_ends_with_a_checked_file(name, tmp_path, monkeypatch, capsys):
    words, file, size, channels = RUNS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "bit by bit" in shown and f"wrote {file}: " in shown
    image = np.zeros((1, size, size, channels), np.float32)
    assert deploy.run(Path(file).read_bytes(), image).shape == (1, 10)
