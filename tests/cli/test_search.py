"""The verb search: every flag reaches what it names, and mistakes are sentences."""

import dataclasses
import types
from pathlib import Path

import pytest

from bnn_keras import cli, search, training
from bnn_keras.runs import RunFolder, trained
from bnn_keras.runs.config import RunConfig
from bnn_keras.settings.recipe import Recipe
from bnn_keras.settings.search import SearchSettings
from zoo import bnas_search, recipes

CONFIG = RunConfig(
    model="bnas_search",
    overrides={"normalization": "digits"},
    dataset="digits",
    kind="digits",
    train_examples=64,
    image_size=16,
    classes=10,
    normalization="digits",
    recipe=Recipe(epochs=3, batch_size=16, optimizer="sgd", learning_rate=0.02, momentum=0.8),
    seed=7,
    search=SearchSettings(cells=4, channels=2, gamma=3.0),
    checkpoint_steps=11,
)


@pytest.fixture
def asked(monkeypatch):
    """What the verb asks the library for, without the search."""
    calls = {}
    monkeypatch.setattr(bnas_search, "build", lambda *a, **k: calls.update(build=(a, k)))
    monkeypatch.setattr(training, "make_deterministic", lambda seed: calls.update(seed=seed))
    monkeypatch.setattr(search, "search", lambda *a, **k: calls.update(search=(a, k)))

    def ask(*flags):
        calls.clear()
        assert cli.run(["search", *flags]) == 0
        (_, space, dataset, recipe, settings, folder), options = calls["search"]
        return calls, space, dataset, recipe, settings, folder, options

    return ask


def test_defaults_are_the_published_search_on_digits(asked):
    calls, space, dataset, recipe, settings, folder, options = asked()
    shortened = {"no_skip": False, "no_zeroise": False, "released_slip": False}
    assert calls["build"] == (((32, 32, 3), 10, "digits"), {"cells": 8, "channels": 16, **shortened})
    assert (space, settings) == (bnas_search.space(), SearchSettings())
    assert (dataset.name, recipe) == ("digits", recipes.load("bnas_search"))
    assert (calls["seed"], options["seed"], folder) == (0, 0, Path("runs/bnas_search-digits"))
    assert options["config"]["overrides"] == {"normalization": "digits"}


def test_every_setting_of_the_search_arrives(asked):
    given = {
        "cells": 5, "channels": 3, "no_skip": True, "no_zeroise": True, "released_slip": True,
        "score_learning_rate": 0.5, "score_weight_decay": 0.25, "diversity": 2.0, "diversity_decay": 3.5,
        "released_diversity": True, "gamma": 4.0, "gamma_form": "released",
    }  # fmt: skip
    calls, space, _, _, settings, _, _ = asked(*(f"--{key}={value}" for key, value in given.items()))
    assert dataclasses.asdict(settings) == given
    assert space == bnas_search.space(no_zeroise=True)
    of_the_network = ("cells", "channels", "no_skip", "no_zeroise", "released_slip")
    assert calls["build"][1] == {key: given[key] for key in of_the_network}


def test_the_other_flags_arrive(asked):
    calls, _, dataset, recipe, _, folder, options = asked(
        "--epochs=3", "--batch_size=8", "--learning_rate=0.5", "--image_size=16", "--seed=9",
        "--output_dir=out", "--train_examples=99", "--checkpoint_steps=7", "--log_seconds=0.5",
        "--flip", "--strict",
    )  # fmt: skip
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (3, 8, 0.5)
    assert (dataset.image_size, dataset.num_train, dataset.augmentation.flip) == (16, 99, True)
    assert calls["build"][0] == ((16, 16, 3), 10, "digits")
    assert (calls["seed"], options["seed"], folder) == (9, 9, Path("out"))
    assert (options["checkpoint_steps"], options["log_seconds"]) == (7, 0.5)
    assert options["config"]["train_examples"] == 99 and options["config"]["strict"] is True


def test_recipe_and_data(asked, shared, tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "bnas_search"\nepochs = 7\n')
    _, _, dataset, recipe, _, folder, options = asked(
        f"--recipe={tmp_path / 'mine.toml'}", "--dataset=cifar10", f"--data_dir={shared / 'tfds'}"
    )
    assert recipe == recipes.load("bnas_search").override(epochs=7)
    assert options["config"]["data_dir"] == str(shared / "tfds")
    assert (dataset.name, folder) == ("cifar10", Path("runs/bnas_search-cifar10"))
    # The constants of the authors, as for the networks.
    assert options["config"]["overrides"] == {"normalization": "bnas_cifar10"}
    assert asked("--scale_lr", "--batch_size=32")[3].learning_rate == pytest.approx(0.0125)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--gamma=0"], "flag --gamma=0: it must be a number above 0."),
        (["--cells=2"], "flag --cells=2: it must be a whole number from 3 to 100."),
        (["--gamma_form=code"], "it must be one of paper, released."),
        (["--gamma=3", "--no_zeroise"], "gamma divides the weights of zeroise, which no_zeroise leaves out."),
        (["--recipe=bnas_serach"], "Unknown recipe 'bnas_serach'; did you mean bnas_search?"),
        (["--train_examples=100"], "the batch size must be from 1 to 50. Received: 64."),
        (["--freeze"], "freeze must be False. Received: True."),
        (["--model=bnas"], "Unknown flag --model;"),
        (["stray"], "Unexpected argument 'stray'"),
        (["--resume=missing"], "missing is not a run folder"),
        (["--dataset=folder:missing"], "missing"),
    ],
    ids=str,
)
def test_mistakes_are_one_sentence_and_leave_nothing(flags, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["search", "--cells=3", "--channels=1", "--image_size=8", *flags]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and sentence in captured.err
    assert captured.err.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.fixture
def run(tmp_path):
    """The folder of a search that has begun."""
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG)
    return str(folder.path)


def test_a_search_is_resumed_with_its_own_settings(asked, run):
    calls, _, dataset, recipe, settings, folder, options = asked(f"--resume={run}")
    assert (settings, recipe, folder) == (CONFIG.search, CONFIG.recipe, Path(run))
    assert (dataset.num_train, dataset.image_size, calls["seed"]) == (64, 16, 7)
    assert options["checkpoint_steps"] == 11
    assert asked(f"--resume={run}", "--checkpoint_steps=5", "--gamma=3")[-1]["checkpoint_steps"] == 5
    assert asked(f"--resume={run}", "--epochs=5")[3] == CONFIG.recipe.extend(5)


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--gamma=1", "run is a run with gamma=3.0. Received: --gamma=1.0; leave it out to resume."),
        ("--seed=8", "with seed=7. Received: --seed=8;"),
        ("--batch_size=8", "with batch_size=16. Received: --batch_size=8;"),
        ("--recipe=small", "--recipe does not go with --resume: "),
        ("--output_dir=other", "--output_dir does not go with --resume: "),
        ("--epochs=2", "A run of 3 epochs can be extended and not shortened."),
    ],
)
def test_what_contradicts_the_search_is_refused(flag, sentence, run, capsys):
    assert cli.run(["search", f"--resume={run}", flag]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_searches_and_trainings_are_not_mistaken_for_each_other(run, tmp_path, capsys):
    assert cli.run(["train", f"--resume={run}"]) == 2
    assert f"{run} is a search: bnn search --resume={run} goes on with it." in capsys.readouterr().err
    other = RunFolder(tmp_path / "other")
    other.claim(dataclasses.replace(CONFIG, search=None))
    assert cli.run(["search", f"--resume={other.path}"]) == 2
    assert f"{other.path} is a training, and no search: bnn train" in capsys.readouterr().err


def test_the_network_of_a_search_is_not_converted(run, monkeypatch, capsys):
    network = types.SimpleNamespace(config=CONFIG, path=Path(run) / "best.keras")
    monkeypatch.setattr(trained, "load", lambda *_: network)
    assert cli.run(["convert", run]) == 2
    error = capsys.readouterr().err
    assert f"{run} is a search: its network is not for devices; train the cells that it has found" in error
    assert f"(bnn train --model=bnas --genotype={run})" in error and error.count("\n") == 1
