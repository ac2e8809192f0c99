"""train --resume: everything comes from the run's configuration, and what contradicts it is refused."""

import dataclasses
import json
from pathlib import Path

import pytest

from bnn_keras import cli, distillation
from bnn_keras.runs import RunFolder
from bnn_keras.runs.config import RunConfig
from bnn_keras.settings.distillation import DistillationSettings
from bnn_keras.settings.recipe import Recipe
from zoo import genotype, registry

TEACHING = DistillationSettings(teacher="bnext_t=t.keras", label_weight=0.5, views=2, cache_teacher="logits")
CONFIG = RunConfig(
    model="meliusneta",
    overrides={"normalization": "digits", "blocks": [1, 1, 1, 1], "stem_pool": 2},
    dataset="digits",
    kind="digits",
    train_examples=64,
    image_size=64,
    classes=10,
    normalization="digits",
    recipe=Recipe(epochs=3, batch_size=16, optimizer="adamw", learning_rate=0.02, mixup=0.2, flip=False),
    seed=7,
    weights="start.keras",
    views=2,
    distillation={"teacher": "bnext_t"},
    teaching=TEACHING,
    sync_batch_norm=True,
    checkpoint_steps=11,
)


@pytest.fixture
def run(tmp_path):
    """A run folder that holds a configuration."""
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG)
    return str(folder.path)


@pytest.fixture
def resume(run, monkeypatch):
    """Resumes the run with further flags, and returns what the library is asked for."""
    asked = []
    monkeypatch.setattr(registry, "build", lambda *a, **k: asked.append((a, k)))
    monkeypatch.setattr(distillation, "train", lambda *a, **k: asked.append((a, k)))

    def call(*flags):
        status = cli.run(["train", f"--resume={run}", *flags])
        return status, *asked

    return call


def test_everything_comes_from_the_run(resume, run):
    status, build, ((lessons, _, _, images, recipe, folder), options) = resume()
    assert status == 0
    assert build == (("meliusneta", (64, 64, 3), 10), CONFIG.overrides)
    assert (lessons, recipe, folder) == (TEACHING, CONFIG.recipe, Path(run))
    assert (images.name, images.num_train, images.augmentation) == ("digits", 64, CONFIG.recipe.augmentation)
    assert options["settings"]["overrides"] == CONFIG.overrides
    taken = ("seed", "weights", "sync_batch_norm", "checkpoint_steps")
    assert {key: options[key] for key in taken} == {key: getattr(CONFIG, key) for key in taken}


def test_what_does_not_decide_the_weights_may_change(resume):
    *_, ((lessons, *_), options) = resume("--checkpoint_steps=5", "--data_dir=there", "--cache_teacher=other")
    assert lessons == dataclasses.replace(TEACHING, cache_teacher="other")
    assert (options["checkpoint_steps"], options["settings"]["data_dir"]) == (5, "there")


def test_what_the_run_says_too_may_be_repeated(resume):
    words = ["--model=meliusneta", "--set=stem_pool=2", "--set=blocks=1,1,1,1", "--batch_size=16", "--noflip"]
    *_, ((_, _, _, _, recipe, _), _) = resume(*words, "--epochs=3")
    assert recipe == CONFIG.recipe


def test_more_epochs_extend_it(resume):
    *_, ((_, _, _, _, recipe, _), _) = resume("--epochs=5")
    assert recipe == CONFIG.recipe.extend(5) and recipe.extensions == (2,)


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--epochs=2", "A run of 3 epochs can be extended and not shortened. Received: epochs=2."),
        (
            "--batch_size=8",
            "run is a run with batch_size=16. Received: --batch_size=8; leave it out to resume.",
        ),
        ("--model=meliusnetb", "run is a run with model=meliusneta. Received: --model=meliusnetb;"),
        ("--set=stem_pool=3", "with set=stem_pool=2. Received: --set=stem_pool=3;"),
        ("--stem=conv7x7", "with set=stem=the published value. Received: --set=stem=conv7x7;"),
        ("--label_weight=0.25", "with label_weight=0.5. Received: --label_weight=0.25;"),
        ("--seed=8", "with seed=7. Received: --seed=8;"),
        ("--recipe=small", "--recipe does not go with --resume: "),
        ("--scale_lr", "--scale_lr does not go with --resume: "),
        ("--seeds=2", "--seeds does not go with --resume: "),
        ("--output_dir=other", "--output_dir does not go with --resume: "),
        ("--resume=nowhere", "nowhere"),
    ],
)
def test_what_contradicts_the_run_is_refused(flag, sentence, resume, capsys):
    assert resume(flag) == (2,)
    error = capsys.readouterr().err
    assert error.startswith("error: ") and sentence in error and error.count("\n") == 1


def test_a_run_has_its_cells_and_needs_no_genotype(resume, run, tmp_path, capsys):
    overrides = {"normalization": "digits", **genotype.CIFAR10}
    config = dataclasses.replace(CONFIG, model="bnas", overrides=overrides)
    RunFolder(Path(run)).config.write_text(config.to_json())
    cells = {form: list(edges) for form, edges in genotype.CIFAR10.items()}
    assert resume()[1] == (("bnas", (64, 64, 3), 10), {"normalization": "digits", **cells})
    file = tmp_path / "genotype.json"
    file.write_text(json.dumps(genotype.CIFAR10))
    assert resume(f"--genotype={file}")[0] == 0
    file.write_text(json.dumps(genotype.IMAGENET))
    assert resume(f"--genotype={file}")[0] == 2
    assert "with set=normal=['none 1', 'dil3 0'" in capsys.readouterr().err


def test_teachers_of_an_earlier_version_are_not_guessed(tmp_path, resume, run, capsys):
    older = dataclasses.replace(CONFIG, teaching=None)
    RunFolder(Path(run)).config.write_text(older.to_json())
    assert resume() == (2,)
    assert "did not record the files of the teachers: give the whole command" in capsys.readouterr().err
