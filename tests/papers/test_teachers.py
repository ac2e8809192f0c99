"""The list of teachers and what is recommended."""

import json

import pytest
import tensorflow as tf

from bnn_keras import cli
from bnn_keras.cli import teachers
from bnn_keras.papers import recommendation
from bnn_keras.papers import teachers as published
from bnn_keras.papers.teachers import knowledge_complexity
from bnn_keras.runs.config import RunConfig
from bnn_keras.settings.recipe import Recipe
from tests.distillation.test_runs import tiny

# Trainable parameters: ours and keras.applications', whose ResNets have biases in their convolutions.
COUNTED = {
    "resnet34": 21_797_672,
    "resnet50": 25_583_592,
    "resnet101": 44_601_832,
    "efficientnetb0": 5_288_548,
    "efficientnetb2": 9_109_994,
    "efficientnetb4": 19_341_616,
    "convnext_tiny": 28_589_128,
    "convnext_small": 50_223_688,
    "convnext_base": 88_591_464,
    "resnext101_32x8d": 88_791_336,
}


def run(capsys, *words):
    assert cli.run(["teachers", *words]) == 0
    return capsys.readouterr().out


def test_knowledge_complexity_of_table_8():
    """To the printed digits; ResNet-34's 1.4876 is printed as 1.487."""
    for name, row in published.TABLE_8.items():
        complexity = knowledge_complexity(COUNTED[name], row.accuracy)
        if name == "resnet34":
            assert complexity == pytest.approx(1.48761, abs=5e-6) and row.complexity == 1.487
        else:
            assert f"{complexity:.3f}" == f"{row.complexity:.3f}", name


@pytest.mark.parametrize("name", ["resnet34", pytest.param("efficientnetb0", marks=pytest.mark.large)])
def test_parameters_are_counted_in_the_real_network(name):
    assert teachers._count(name) == COUNTED[name]


@pytest.mark.large
def test_the_whole_list(capsys):
    rows = json.loads(run(capsys, "--format=json"))
    assert {row["name"]: row["params"] for row in rows} == COUNTED
    assert [row["name"] for row in rows if row["source"] != "counted"] == ["resnext101_32x8d"]


@pytest.fixture
def counted(monkeypatch):
    """Without building ten networks."""
    monkeypatch.setattr(teachers, "_count", COUNTED.__getitem__)


def test_the_list_in_its_forms(counted, capsys):
    text = run(capsys)
    (row,) = [line.split() for line in text.splitlines() if line.startswith("efficientnetb0")]
    assert row == ["efficientnetb0", "5,288,548", "counted", "77.53", "%", "0.893", "0.893", "71.32", "%"]
    assert "published, torchvision's documentation" in text and "equation 3" in text
    assert "resnet34: 1.48761, where the paper prints 1.487." in text and text.count("where the paper") == 1
    markdown = run(capsys, "--format=markdown").splitlines()
    assert markdown[0].startswith("| teacher ") and len([line for line in markdown if "|" in line]) == 12
    rows = json.loads(run(capsys, "--format=json"))
    assert [row["name"] for row in rows] == list(COUNTED)
    assert all(round(row["complexity"], 3) == row["printed"] for row in rows[1:])


def test_own_teachers_are_listed_too(counted, tmp_path, capsys):
    tiny(4).save(tmp_path / "best.keras")
    recipe = Recipe(epochs=1, batch_size=1, optimizer="adam", learning_rate=0.1)
    config = RunConfig(
        model="tiny",
        dataset="none",
        kind="small",
        image_size=32,
        classes=4,
        normalization="digits",
        recipe=recipe,
    )
    (tmp_path / "config.json").write_text(config.to_json())
    (tmp_path / "history.csv").write_text("epoch,val_accuracy\n1,0.5\n")
    row = json.loads(run(capsys, str(tmp_path), "--format=json"))[-1]
    params = sum(int(tf.size(w)) for w in tiny(4).trainable_weights)
    assert row["params"] == params and row["complexity"] == pytest.approx(knowledge_complexity(params, 0.5))


@pytest.mark.parametrize(
    ("student", "flags"),
    [
        ("bnext18", "--teacher=resnet34"),
        ("bnext_t", "--teacher=efficientnetb2 --assistants=efficientnetb0"),
        ("bnext_s", "--teacher=efficientnetb2 --assistants=efficientnetb0"),
        ("bnext_m", "--teacher=efficientnetb4 --assistants=efficientnetb0,efficientnetb2"),
        ("bnext_l", "--teacher=convnext_tiny --assistants=efficientnetb0,efficientnetb4,convnext_tiny"),
    ],
)
def test_table_9(student, flags):
    assert recommendation.recommend(student, 0.0).flags == flags


def test_other_students_get_those_of_the_smallest_bnext_as_large():
    rule = recommendation.recommend
    of = {size: rule("other", size).selection for size in (4.0, 13.3, 13.4, 26.8, 46.6, 200.0)}
    tables = published.TABLE_9
    assert of[4.0] == of[13.3] == tables["bnext_t"] and of[13.4] == tables["bnext_s"]
    assert of[26.8] == tables["bnext_m"] and of[46.6] == of[200.0] == tables["bnext_l"]
    assert "more than bnext_l" in rule("other", 200.0).reason


def test_a_recommendation_is_made_for_a_network_of_the_zoo(capsys, monkeypatch):
    text = run(capsys, "--student=resnete18")
    assert text.startswith("resnete18: --teacher=efficientnetb2 --assistants=efficientnetb0\n")
    assert "4.0 MiB, no more than bnext_t" in text
    again = recommendation.recommend("resnete18", 3.98)  # without counting it a second time
    monkeypatch.setattr(teachers, "recommend", lambda student: again)
    said = json.loads(run(capsys, "--student=resnete18", "--format=json"))
    assert said["selection"]["assistants"] == ["efficientnetb0"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--format=xml"], "flag --format=xml: it must be one of text, markdown, json"),
        (["--student=resnet"], "Unknown student 'resnet'; did you mean resnet34, "),
        (["--student=meliusneta", "runs/a"], "Unexpected argument 'runs/a'"),
        (["runs/none"], "No such file or folder: runs/none"),
    ],
)
def test_what_is_refused(words, sentence, counted, capsys):
    assert cli.run(["teachers", *words]) == 2
    shown = capsys.readouterr().err
    assert sentence in shown and shown.startswith("error: ") and len(shown.splitlines()) == 1
