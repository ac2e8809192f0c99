"""A whole search: what its folder holds, killed and resumed, and what is refused."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import runs
from bnn_keras.errors import UserError
from bnn_keras.search import genotypes, run
from bnn_keras.search.record import Record
from bnn_keras.search.searcher import Searcher
from bnn_keras.settings.search import SearchSettings
from tests import small_run
from tests.search import small_search
from tests.search.small_search import RECIPE, SETTINGS, SPACE, run_search

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished search, and its network."""
    folder = runs.RunFolder(tmp_path_factory.mktemp("searches") / "finished")
    return folder, run_search(folder.path, drawn=True)


def read(path):
    return json.loads(path.read_text())


def assert_same(folder, expected):
    for name in ("last_model", "best_model"):
        pair = [small_run.weights_of(getattr(each, name)) for each in (folder, expected)]
        for a, b in zip(*pair, strict=True):
            np.testing.assert_array_equal(a, b)
    pair = [small_run.rows(each.history, but=["seconds"]) for each in (folder, expected)]
    assert pair[0] == pair[1]
    for path in [expected.genotype, *expected.genotypes.iterdir()]:
        assert (folder.path / path.relative_to(expected.path)).read_bytes() == path.read_bytes()
    assert len(list(folder.genotypes.iterdir())) == len(list(expected.genotypes.iterdir()))


def test_the_cells_of_every_epoch_and_of_the_best(finished):
    folder, _ = finished
    epochs = [read(folder.genotypes / f"epoch{number}.json") for number in (1, 2)]
    history = small_run.rows(folder.history)
    assert [found["epoch"] for found in epochs] == [1, 2]
    accuracies = [found["held_out_accuracy"] for found in epochs]
    assert accuracies == [pytest.approx(float(row["val_accuracy"])) for row in history]
    usable = [found for found in epochs if genotypes.is_usable(cells_of(found), SPACE)]
    assert read(folder.genotype) == max(usable, key=lambda found: found["held_out_accuracy"])
    assert folder.cells.read_bytes().startswith(b"\x89PNG")


def cells_of(found):
    return {form: tuple(found[form]) for form in SPACE.forms}


def scores_for(operation):
    """Scores that prefer an operation on every edge."""
    return tf.one_hot([SPACE.operations.index(operation)] * len(SPACE.edges), len(SPACE.operations))


def test_an_epoch_has_the_cells_that_it_began_with(tmp_path):
    folder = runs.RunFolder(tmp_path)
    made = Searcher(small_search.network(), SPACE, SETTINGS)
    record = Record(folder, SPACE, SETTINGS)
    record.set_model(made)
    course = [("none", 0.9), ("max", 0.2), ("conv3", 0.3), ("max", 0.3), ("max", 0.1)]
    for variable in made.first_scores.values():
        variable.assign(scores_for(course[0][0]))
    best = []
    for epoch, (_, accuracy) in enumerate(course):
        record.on_epoch_begin(epoch)
        assert float(made.epoch) == epoch
        for variable in made.scores.values():  # what the epoch learns
            variable.assign(scores_for(course[(epoch + 1) % 5][0]))
        record.on_epoch_end(epoch, {"val_accuracy": accuracy})
        best.append(read(folder.genotype)["epoch"] if folder.genotype.exists() else None)
    for number, (operation, accuracy) in enumerate(course, start=1):
        found = read(folder.genotypes / f"epoch{number}.json")
        assert found["normal"] == found["reduction"] == [f"{operation} 0"]
        assert (found["epoch"], found["held_out_accuracy"]) == (number, accuracy)
    # Cells of zeroise alone are never the best, and of equal ones it is the first.
    assert best == [None, 2, 3, 3, 3]


def test_what_was_measured_and_what_it_says(finished, capsys):
    folder, _ = finished
    row = small_run.rows(folder.history)[0]
    assert {"loss", "accuracy", "score_loss", "entropy", "val_loss", "val_accuracy"} <= set(row)
    assert not {"val_score_loss", "val_entropy"} & set(row)
    sentence = folder.finished.read_text()
    assert f"has found the cells of epoch {read(folder.genotype)['epoch']}, in {folder.genotype};" in sentence
    assert f"to train them: bnn train --model=bnas --genotype={folder.path}" in sentence
    config = folder.read_config()
    assert config.search == SETTINGS
    # Again, it says so and does nothing.
    before = folder.history.stat().st_mtime_ns
    run_search(folder.path)
    assert f"{folder.path} is finished:\nreached" in capsys.readouterr().out
    assert folder.history.stat().st_mtime_ns == before


def test_stopped_in_the_middle_it_ends_as_if_it_had_not_been(finished, tmp_path):
    folder = runs.RunFolder(tmp_path / "run")
    steps = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        run_search(folder.path, stop=lambda: next(steps) == 5)
    assert [path.name for path in folder.genotypes.iterdir()] == ["epoch1.json"]
    run_search(folder.path)
    assert_same(folder, finished[0])


@pytest.mark.large
def test_killed_three_times_it_ends_as_if_it_had_not_been(finished, tmp_path):
    folder = runs.RunFolder(tmp_path / "run")
    for steps in (3, 3, 3):
        assert small_search.command(folder.path, kill_after=steps).returncode == -9
    done = small_search.command(folder.path)
    assert done.returncode == 0, done.stderr
    assert "resuming at epoch" in done.stdout
    assert_same(folder, finished[0])


def test_the_settings_of_a_search_decide_it(finished, tmp_path):
    folder = runs.RunFolder(shutil.copytree(finished[0].path, tmp_path / "run"))
    with pytest.raises(UserError, match="holds a different run: its gamma is 1.0, asked for is 2.0"):
        run_search(folder.path, dataclasses.replace(SETTINGS, gamma=2.0))


def test_the_folder_of_a_training_is_another_runs(tmp_path):
    folder = runs.RunFolder(shutil.copytree(FIXTURES / "finished", tmp_path / "run"))
    with pytest.raises(UserError, match="holds a different run: its model is tiny"):
        run_search(folder.path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"accumulate": 2}, "accumulate must be 1. Received: 2."),
        ({"freeze": True}, "freeze must be False. Received: True."),
        ({"precision": "mixed_bfloat16"}, "precision must be float32. Received: mixed_bfloat16."),
        ({"batch_size": 34}, "of the 66 training examples of digits: the batch size must be from 1 to 33."),
    ],
    ids=str,
)
def test_what_a_search_cannot_do_is_refused_before_anything_is_written(changes, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        run_search(tmp_path / "run", recipe=RECIPE.replace(**changes))
    assert not (tmp_path / "run").exists()


NO_CELLS = "has found no cells: .* none on all edges; .*--no_zeroise"


def test_a_search_without_cells_says_so(finished, tmp_path):
    """Where no epoch has usable cells, `Record` writes no genotype."""
    folder = runs.RunFolder(shutil.copytree(finished[0].path, tmp_path / "run"))
    folder.genotype.unlink()
    with pytest.raises(UserError, match=NO_CELLS):
        run_search(folder.path)
    assert run._conclusion(folder) == "and no epoch had cells with an operation in every form"


@pytest.mark.large
def test_a_search_that_finds_zeroise_alone_says_so(tmp_path):
    """With smoothed labels and mixed images, which is otherwise a search like the others."""
    space = dataclasses.replace(SPACE, operations=("none", "max"))
    # A weight of almost 0 is left of every other operation.
    settings = SearchSettings(gamma=1e-9)
    recipe = RECIPE.replace(epochs=1, label_smoothing=0.1, mixup=0.2)
    mixed = dataclasses.replace(small_run.digits(66), augmentation=recipe.augmentation)
    folder = runs.RunFolder(tmp_path / "run")
    for _ in range(2):  # also when it is finished
        with pytest.raises(UserError, match=NO_CELLS):
            run_search(folder.path, settings, recipe, mixed, space)
    assert not folder.genotype.exists()
    (row,) = small_run.rows(folder.history)
    assert np.isfinite([float(row[name]) for name in ("loss", "score_loss", "val_loss")]).all()
