"""The public names of bnn_keras: there when they are asked for, and their examples run."""

import doctest
import functools
import pkgutil
import subprocess
import sys

import pytest

import bnn_keras
from bnn_keras.runs import trained
from tests import small_run


def test_importing_the_package_imports_no_tensorflow():
    code = "import bnn_keras, sys; dir(bnn_keras); bnn_keras.Recipe; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_name_is_there_and_none_is_forgotten():
    for name in bnn_keras.__all__:
        assert getattr(bnn_keras, name).__name__ == name and name in dir(bnn_keras)
    assert set(bnn_keras.__all__) == set(bnn_keras._HOMES)
    rooms = {room.name for room in pkgutil.iter_modules(bnn_keras.__path__) if room.ispkg}
    assert set(bnn_keras._ROOMS) == rooms - {"cli"}


def test_rooms_come_with_the_package(monkeypatch):
    """In a new process: test_house.py, where the library is imported."""
    for room in bnn_keras._ROOMS:
        monkeypatch.delattr(bnn_keras, room, raising=False)  # which any earlier import has set
        assert getattr(bnn_keras, room).__name__ == f"bnn_keras.{room}"
    assert bnn_keras.deploy.convert is bnn_keras.convert and bnn_keras.weights.load
    assert bnn_keras.accounting.profile is bnn_keras.profile and bnn_keras.deploy.verify is bnn_keras.verify


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="module 'bnn_keras' has no attribute 'trian'"):
        bnn_keras.__getattr__("trian")


ORDER = [
    "Recipe",
    "train",
    "load",
    "evaluate",
    "compare",
    "predict",
    "predict_files",
    "profile",
    "convert",
    "verify",
]


def test_every_example_of_the_public_names_runs(tmp_path, eager, monkeypatch):
    """In one folder, one after another: the example of `train` makes the run that others load."""
    assert set(ORDER) == set(bnn_keras.__all__)
    monkeypatch.chdir(tmp_path)
    load = functools.cache(trained.load)
    for name in ORDER:
        examples = doctest.DocTestParser().get_examples(getattr(bnn_keras, name).__doc__)
        assert len(examples) > 1, name
        names: dict = {}
        with small_run.no_report():
            for example in examples:
                run_example(example, names, name)
        if name == "load":  # the run is read once, for all examples after this one
            monkeypatch.setattr(bnn_keras, "load", load, raising=False)


def run_example(example, names, of):
    """Run a line; what it prints on its way is not compared, only the value that it shows."""
    if not example.want:
        exec(example.source, names)
    else:
        assert f"{eval(example.source, names)!r}\n" == example.want, of
