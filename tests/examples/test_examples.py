"""The scripts in examples/, with small settings: they end with a file that computes what it should."""

import dataclasses
import json
import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnn_keras import cli, deploy
from bnn_keras.errors import UserError
from bnn_keras.settings.preprocessing import Preprocessing
from zoo import genotype

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
    assert {file.stem for file in EXAMPLES.glob("*.py")} == {
        *RUNS,
        "phone_input",
        "compare_cells",
        "shortcut_gradients",
    }


def test_phone_input_writes_what_the_file_takes(tmp_path, monkeypatch, capsys):
    """That it is what `bnn predict` computes with, tests/data/test_photographs.py shows."""
    steps = Preprocessing(shorter_side=36, crop_size=32, interpolation="bicubic", antialias=True)
    manifest = {
        "input": {"preprocessing": dataclasses.asdict(steps), "orientation": "upright", "type": "float32"}
    }
    (tmp_path / "a.json").write_text(json.dumps(manifest))
    Image.new("RGB", (50, 40), (10, 20, 30)).save(tmp_path / "a.png")
    monkeypatch.setattr(sys, "argv", ["", *(str(tmp_path / name) for name in ("a.json", "a.png"))])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "phone_input.py"), run_name="__main__")
    assert capsys.readouterr().out == "wrote input.npy: float32, [1, 32, 32, 3]\n"
    np.testing.assert_allclose(np.load("input.npy"), np.broadcast_to((10, 20, 30), (1, 32, 32, 3)), atol=1e-3)


def load(name):
    """The functions of an example."""
    return types.SimpleNamespace(**runpy.run_path(str(EXAMPLES / f"{name}.py")))


def test_random_cells_cost_about_as_much_and_can_be_trained():
    example = load("compare_cells")
    # conv3 has 9 weights: 4 in each of three normal cells, and 4 in each of two reduction cells.
    found = {form: ("conv3 0",) * 4 + ("max 1",) * 3 + ("none 1",) for form in genotype.FORMS}
    assert example.cost(found, number=5) == 9 * 4 * (3 + 2)
    others = example.of_the_same_cost(found, 5, number=5, seed=0)
    assert len({str(cells) for cells in others}) == 5
    for cells in others:
        genotype.check(cells)
        assert 0.9 * 180 <= example.cost(cells, 5) <= 1.1 * 180
    assert others == example.of_the_same_cost(found, 5, number=5, seed=0)


def test_cells_that_no_random_ones_match_are_a_sentence():
    example = load("compare_cells")
    dear = {form: ("conv5 0",) * 8 for form in genotype.FORMS}
    example.of_the_same_cost.__globals__["TRIES"] = 50
    with pytest.raises(UserError, match="Of 50 random cells, 0 cost about as much"):
        example.of_the_same_cost(dear, 1, number=5, seed=0)


@pytest.mark.large
def test_found_cells_are_compared_with_random_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--cells=3", "--channels=1", "--epochs=1", "--batch_size=16", "--train_examples=64"]
    assert cli.run(["search", *words, "--no_zeroise", "--output_dir=run"]) == 0
    shown = ["run", "--cells=3", "--channels=2", "--epochs=1", "--batch_size=16", "--random=1"]
    monkeypatch.setattr(sys, "argv", ["compare_cells.py", *shown])
    runpy.run_path(str(EXAMPLES / "compare_cells.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert [line.split()[0] for line in lines] == ["found", "random1"]
    assert Path("run/report.html").is_file() and "The cells as graphs" in Path("run/report.html").read_text()
    assert Path("run/compared/random1/genotype.json").is_file()


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
