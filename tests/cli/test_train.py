"""The verb train: every flag reaches what it names."""

import json
from pathlib import Path

import pytest
import tensorflow as tf

import zoo
from bnn_keras import cli, data, training
from zoo import genotype, recipes, registry


@pytest.fixture
def asked(monkeypatch):
    """What the verb asks the library for, without the training."""
    calls = []

    def build(*arguments, **settings):
        calls.append(("build", arguments, settings))
        calls.append(("strategy", (tf.distribute.get_strategy(),), {}))
        return "network"

    monkeypatch.setattr(registry, "build", build)
    monkeypatch.setattr(training, "make_deterministic", lambda seed: calls.append(("seed", seed)))
    monkeypatch.setattr(training, "train", lambda *a, **k: calls.append(("train", a, k)))

    def ask(*flags):
        calls.clear()
        assert cli.run(["train", *flags]) == 0
        by_name = {call[0]: call[1:] for call in calls}
        _, dataset, recipe, folder = by_name["train"][0]
        return by_name, dataset, recipe, folder, by_name["train"][1]

    return ask


def test_trains_and_says_what_comes_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--model=birealnet18", "--set=blocks=1", "--set=channels=32", "--epochs=1"]
    assert cli.run(["train", *words, "--train_examples=64"]) == 0
    first, *lines, reached, last = capsys.readouterr().out.splitlines()
    assert first.startswith("birealnet18 on digits: 64 training and 359 held-out images of 32 pixels")
    assert max(map(len, [first, *lines, last])) <= 80 and "building the graph of the evaluation" in lines
    assert reached.startswith("reached ") and last == "to convert it: bnn convert runs/birealnet18-digits"
    assert any(", learning_rate " in line and ", accuracy " in line for line in lines)
    config = json.loads(Path("runs/birealnet18-digits/config.json").read_text())
    assert config["train_examples"] == 64
    assert config["overrides"] == {"normalization": "digits", "blocks": [1], "channels": [32]}
    assert Path("runs/birealnet18-digits/best.keras").is_file()


def test_defaults_are_meliusnet29_on_digits(asked):
    by_name, dataset, recipe, folder, options = asked()
    assert by_name["build"] == (("meliusnet29", (32, 32, 3), 10), {"normalization": "digits"})
    assert by_name["seed"] == (0,)
    assert (dataset.name, recipe, str(folder)) == (
        "digits",
        recipes.load("digits"),
        "runs/meliusnet29-digits",
    )
    assert options["weights"] is None and options["checkpoint_steps"] == 500


def test_every_flag_arrives(asked):
    by_name, dataset, recipe, folder, options = asked(
        "--model=meliusneta", "--epochs=3", "--batch_size=8", "--learning_rate=0.5", "--optimizer=sgd",
        "--image_size=64", "--stem=conv7x7", "--seed=9", "--output_dir=out", "--weights=some.keras",
        "--train_examples=99", "--checkpoint_steps=7", "--log_seconds=0.5",
    )  # fmt: skip
    assert by_name["build"][0] == ("meliusneta", (64, 64, 3), 10)
    assert by_name["build"][1]["stem"] == "conv7x7" and by_name["seed"] == (9,)
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.optimizer) == (3, 8, 0.5, "sgd")
    assert (dataset.image_size, dataset.num_train, str(folder)) == (64, 99, "out")
    assert (options["seed"], options["weights"], options["checkpoint_steps"]) == (9, "some.keras", 7)
    assert options["settings"]["overrides"] == {"stem": "conv7x7", "normalization": "digits"}
    assert options["log_seconds"] == 0.5


def test_flags_of_many_machines_arrive(asked):
    by_name, *_, options = asked()
    assert by_name["strategy"][0] == (tf.distribute.get_strategy(),)
    assert options["sync_batch_norm"] is False and options["data_service"] is None
    by_name, *_, options = asked("--strategy=mirrored", "--sync_batch_norm", "--data_service=there:5050")
    assert isinstance(by_name["strategy"][0][0], tf.distribute.MirroredStrategy)
    assert options["sync_batch_norm"] is True and options["data_service"] == "there:5050"


def test_data_flags_arrive(asked, monkeypatch):
    received = []
    digits = data.open("digits")
    monkeypatch.setattr(data, "open", lambda *a: received.append(a) or digits)
    asked("--dataset=folder:pictures", "--data_dir=there", "--strict")
    assert received == [("folder:pictures", "there", None, None, True)]


def test_the_papers_recipe_on_imagenet_and_thumbnails_for_cifar(asked, shared):
    _, _, recipe, _, _ = asked("--model=meliusnet59", "--dataset=imagenet2012", f"--data_dir={shared}/tfds")
    assert recipe == zoo.recipe("meliusnet59") and recipe.tail_epochs == 20
    by_name, _, recipe, folder, _ = asked("--dataset=cifar10", f"--data_dir={shared}/tfds")
    assert by_name["build"][1] == {"normalization": "cifar10", "stem": "thumbnail"}
    assert (recipe, str(folder)) == (recipes.load("small"), "runs/meliusnet29-cifar10")


def test_a_recipe_by_name_or_file_and_flags_over_it(asked, tmp_path):
    _, dataset, recipe, _, _ = asked("--recipe=float_study", "--batch_size=32", "--scale_lr", "--noflip")
    study = recipes.load("float_study")
    assert recipe == study.replace(batch_size=32, learning_rate=0.0125, flip=False)
    assert dataset.augmentation == recipe.augmentation and dataset.augmentation.lighting == 0.1
    (tmp_path / "mine.toml").write_text(recipes.FILES["naivenet"].read_text())
    assert asked(f"--recipe={tmp_path}/mine.toml")[2] == recipes.load("naivenet")


def test_the_cells_of_a_genotype_are_settings_of_the_run(asked, tmp_path):
    (tmp_path / "cells.json").write_text(json.dumps(genotype.IMAGENET))
    by_name, *_, options = asked("--model=bnas", f"--genotype={tmp_path}/cells.json", "--set=cells=5")
    expected = {"normalization": "digits", "cells": 5, **genotype.IMAGENET}
    assert by_name["build"][1] == options["settings"]["overrides"] == expected


def test_lists_models_and_recipes(capsys):
    assert cli.run(["train", "--list_models"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == zoo.list_models()
    assert cli.run(["train", "--list_recipes"]) == 0
    assert capsys.readouterr().out.split() == zoo.list_recipes()


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--model=MeliusNet-22", "Unknown model 'MeliusNet-22'; did you mean meliusnet22, "),
        ("--model=qqq", "Unknown model 'qqq'; valid: "),
        ("--dataset=nothing_like_it", "nothing_like_it"),
        ("--dataset=digist", "; did you mean digits"),
        ("--optimizer=lamb", "--optimizer=lamb: it must be one of adam, "),
        ("--batch_size=5000", "batch size must be from 1 to 1438"),
        ("--image_size=16", "from 32 x 32 pixels up"),
        ("--stem=round", "stem of meliusnet22 must be one of grouped, conv7x7, thumbnail. Received: 'round'"),
        ("--set=stem=round", "stem of meliusnet22 must be one of grouped"),
        ("--set=depth=3", "Unknown setting of meliusnet22 'depth'; valid: "),
        ("--set=chanels=3", "Unknown setting of meliusnet22 'chanels'; did you mean channels?"),
        (
            "--genotype=g.json",
            "--genotype is for --model=bnas. Received: meliusnet22, which has cells of its",
        ),
        ("--set=depth", "--set takes NAME=VALUE. Received: 'depth'"),
        ("--seed=-1", "--seed=-1: it must be a whole number from 0"),
        ("--epochs=many", "--epochs=many: it must be a whole number from 1 up"),
        ("--recipe=meliusnet60", "Unknown recipe 'meliusnet60'; did you mean meliusnet, meliusnet59 or "),
        ("--recipe=qqq", "Unknown recipe 'qqq'; valid: bnas, "),
        ("--strategy=cluster", "--strategy=cluster: it must be one of none, mirrored, multiworker"),
        ("--strategy=multiworker", "need TF_CONFIG in the environment"),
        ("--data_service=5050", "--data_service=5050: it must be an address like HOST:5050"),
        ("--log_seconds=-1", "--log_seconds=-1: it must be a number from 0 up"),
        ("--seeds=0", "--seeds=0: it must be a whole number from 1 up"),
        ("--learning-rate=1", "Unknown flag --learning-rate; did you mean --learning_rate"),
        ("meliusnet22", "Unexpected argument 'meliusnet22'"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_status_2(flag, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = (
        [] if flag.startswith("--model") else ["--model=meliusnet22", "--set=blocks=1,1", "--set=channels=32"]
    )
    assert cli.run(["train", *model, flag]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and sentence in captured.err
    assert captured.err.count("\n") == 1 and "Traceback" not in captured.err
    assert not list(tmp_path.iterdir())
