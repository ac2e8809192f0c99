"""Weights of a network with other settings: the flags that give these settings are named."""

import dataclasses
from pathlib import Path

import pytest

import zoo
from bnn_keras import cli
from bnn_keras.cli.checkpoint import difference
from bnn_keras.deploy.bundle import job
from bnn_keras.runs import RunFolder
from tests.cli.test_resume import CONFIG

TINY = ["--set=blocks=1,1", "--set=channels=32"]
OVERRIDES = {"blocks": [1, 1], "channels": [32], "normalization": "digits", "stem": "conv7x7"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with the weights of a network with the 7x7 stem."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    folder.claim(dataclasses.replace(CONFIG, overrides=OVERRIDES))
    zoo.build("meliusneta", (32, 32, 3), 10, **OVERRIDES).save(folder.best_model)
    return str(folder.path)


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        ("meliusneta", {}, ""),
        ("meliusneta", {"blocks": (1, 1)}, ""),
        ("meliusneta", {"stem_pool": 2}, "meliusneta with other settings, which --set=stem_pool=3 gives"),
        (
            "meliusneta",
            {"stem": "grouped", "blocks": (1, 2)},
            "--set=blocks=1,1 --set=stem=conv7x7",
        ),
        ("meliusneta", {"normalization": "cifar10"}, "which --set=normalization=digits gives"),
        ("meliusnetb", {}, "these are weights of meliusneta, which --model=meliusneta builds"),
    ],
)
def test_settings_of_a_run(run, model, changes, words):
    found = difference(model, {**OVERRIDES, **changes}, str(Path(run, "best.keras")))
    assert words in found and bool(found) == bool(words)


def test_settings_of_larq_zoos_file():
    found = difference("meliusnet22", {"normalization": "digits"}, "meliusnet22_weights.h5")
    flags = ["--set=normalization=larq_zoo", "--set=stem_pool=2", "--set=kernel_clip=1.3"]
    assert all(flag in found for flag in flags)
    theirs = {"normalization": "larq_zoo", "stem_pool": 2, "kernel_clip": 1.3}
    assert difference("meliusnet22", theirs, "meliusnet22_weights.h5") == ""
    assert difference("bnext_t", {}, "some.pth.tar") == difference("bnext_t", {}, None) == ""


def test_a_stem_that_does_not_fit_is_named_with_its_flag(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--model=meliusneta", *TINY, "--train_examples=64", "--epochs=1", f"--weights={run}"]
    assert cli.run(words) == 2
    error = capsys.readouterr().err
    assert "it is another model's; these are weights of meliusneta with other settings, which" in error
    assert error.endswith("--set=stem=conv7x7 gives.\n") and not Path("runs").exists()


def test_convert_names_the_settings_as_well(run, monkeypatch, capsys):
    monkeypatch.setattr(job, "write", lambda *_: None)
    words = ["convert", "--model=meliusneta", *TINY, "--image_size=32", "--classes=10", f"--weights={run}"]
    assert cli.run([*words, "--set=stem=conv7x7"]) == 0
    assert "best.keras: these are weights of meliusneta with other settings, which" in capsys.readouterr().out
    assert cli.run([*words, "--set=stem=conv7x7", "--set=normalization=digits"]) == 0
    assert "other settings" not in capsys.readouterr().out
    assert cli.run(words) == 2
    assert "--set=stem=conv7x7 gives.\n" in capsys.readouterr().err
