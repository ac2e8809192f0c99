"""The configuration of a run: written, read again, compared, and refused when it is not one."""

import dataclasses
import json

import pytest

from bnn_keras.errors import UserError
from bnn_keras.runs import RunFolder
from bnn_keras.runs.config import RunConfig
from bnn_keras.settings.distillation import DistillationSettings
from bnn_keras.settings.recipe import Recipe

CONFIG = RunConfig(
    model="meliusnet22",
    overrides={"normalization": "cifar10", "stem": "thumbnail", "blocks": (1, 1, 1, 1)},
    dataset="cifar10",
    kind="small",
    image_size=32,
    classes=10,
    normalization="cifar10",
    recipe=Recipe(epochs=2, batch_size=16, optimizer="adam", learning_rate=0.1, crop_area=(0.5, 1)),
    seed=3,
    distillation={"teacher": "runs/teacher", "label_weight": 0.5},
)
OTHER = {
    "overrides": {"normalization": "imagenet2012"},
    "recipe": dataclasses.replace(CONFIG.recipe, learning_rate=0.2),
    "distillation": {"teacher": "runs/other"},
    "environment": {"python": "3.12"},
    "teaching": DistillationSettings(teacher="runs/other"),
    "train_examples": 7,
    "sync_batch_norm": True,
    "strict": True,
    "weights": "a.keras",
    "data_service": "localhost:5050",
    "data_dir": "data",
    "checkpoint_steps": 7,
    "views": 3,
    "replicas": 2,
    "image_size": 64,
    "classes": 20,
    "seed": 4,
    "kind": "digits",
}


def test_a_configuration_is_read_as_it_was_written(tmp_path):
    (tmp_path / "config.json").write_text(CONFIG.to_json())
    again = RunConfig.read(tmp_path / "config.json")
    assert not list(again.differences(CONFIG)) and not list(CONFIG.differences(again))
    assert again.recipe == CONFIG.recipe


def test_an_older_file_lacks_newer_keys(tmp_path):
    written = json.loads(CONFIG.to_json())
    del written["views"], written["sync_batch_norm"], written["recipe"]["repeats"]
    (tmp_path / "config.json").write_text(json.dumps({**written, "of_another_version": 1}))
    assert not list(RunConfig.read(tmp_path / "config.json").differences(CONFIG))


def test_the_effective_augmentation_is_that_which_was_asked_for():
    """Earlier versions wrote null for the standard of the data."""
    for kind in ("digits", "small", "photographs"):
        asked = dataclasses.replace(CONFIG, kind=kind, recipe=CONFIG.recipe.replace(crop_area=None))
        effective = dataclasses.replace(asked, recipe=asked.recipe.effective(kind))
        assert not list(asked.differences(effective)) and asked.preprocessing == effective.preprocessing
        standard = effective.recipe
        assert (standard.interpolation, standard.flip) == ("bilinear", kind != "digits")
        assert standard.evaluation_edge == (256 if kind == "photographs" else 224)
        assert standard.crop_area == ((0.08, 1.0) if kind == "photographs" else None)
        other = dataclasses.replace(asked, recipe=asked.recipe.replace(evaluation_edge=300))
        assert [name for name, _, _ in other.differences(effective)] == ["evaluation_edge"]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(RunConfig)])
def test_every_field_decides_or_does_not(name):
    """Another value of a deciding field is seen; of the others none is."""
    (field,) = [field for field in dataclasses.fields(RunConfig) if field.name == name]
    changed = dataclasses.replace(CONFIG, **{name: OTHER.get(name, "other")})
    assert bool(list(CONFIG.differences(changed))) == field.metadata["decides"]


def test_runs_that_differ_in_the_networks_normalization_only_are_two(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG)
    folder.checkpoints.mkdir()
    (folder.checkpoints / "checkpoint").touch()
    other = dataclasses.replace(CONFIG, overrides={**CONFIG.overrides, "normalization": "bnext_cifar"})
    with pytest.raises(UserError, match=r"its overrides.normalization is cifar10, asked for is bnext_cifar"):
        folder.claim(other)
    folder.claim(dataclasses.replace(CONFIG, data_dir="elsewhere"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("null", "config.json does not hold the configuration of a run: Expected object, got null"),
        ("[]", "got array"),
        ("{", "is not a whole JSON file"),
        ("{}", "missing required field model"),
        (CONFIG.to_json().replace('"seed": 3', '"seed": "3"'), "Expected int, got str at seed"),
        (CONFIG.to_json().replace('"epochs": 2', '"epochs": 0'), "epochs must be a whole number from 1 up"),
    ],
)
def test_what_is_no_configuration_is_refused_in_words(text, reason, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=f"{reason}"):
        RunFolder(tmp_path).read_config()


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "Cannot read .*labels.txt: No such"), (b"\xff", "UTF-8")]
)
def test_class_names_that_cannot_be_read_are_refused_in_words(content, reason, tmp_path):
    if content is not None:
        (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(UserError, match=reason):
        RunFolder(tmp_path).class_names()
