"""The scripts in examples/, with small settings: they end with a file that computes what it should."""

import dataclasses
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnn_keras import deploy
from bnn_keras.settings.preprocessing import Preprocessing

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
    assert {file.stem for file in EXAMPLES.glob("*.py")} == {*RUNS, "phone_input"}


def test_phone_input_writes_what_the_file_takes(tmp_path, monkeypatch, capsys):
    """That it is what `bnn predict` computes with, tests/data/test_photographs.py shows."""
    steps = Preprocessing(shorter_side=36, crop_size=32, interpolation="bicubic", antialias=True)
    manifest = {"input": {"preprocessing": dataclasses.asdict(steps), "orientation": "upright"}}
    (tmp_path / "a.json").write_text(json.dumps(manifest))
    Image.new("RGB", (50, 40), (10, 20, 30)).save(tmp_path / "a.png")
    monkeypatch.setattr(sys, "argv", ["", *(str(tmp_path / name) for name in ("a.json", "a.png"))])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "phone_input.py"), run_name="__main__")
    assert capsys.readouterr().out == "wrote input.npy: float32, [1, 32, 32, 3]\n"
    np.testing.assert_allclose(np.load("input.npy"), np.broadcast_to((10, 20, 30), (1, 32, 32, 3)), atol=1e-3)


@pytest.mark.parametrize(
    "name", ["plain_fit", *(pytest.param(n, marks=pytest.mark.large) for n in ("own_model", "own_images"))]
)
def test_an_example_ends_with_a_checked_file(name, tmp_path, monkeypatch, capsys):
    words, file, size, channels = RUNS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "bit by bit" in shown and f"wrote {file}: " in shown
    image = np.zeros((1, size, size, channels), np.float32)
    assert deploy.run(Path(file).read_bytes(), image).shape == (1, 10)
