"""The rules of docs/architecture.md: which room may import which, and what no module does."""

import ast
import functools
import subprocess
import sys
import types

import pytest

import bnn_keras
from bnn_keras import legacy_keras
from tests import architecture

ROOT = architecture.ROOT
BELOW_ZOO = {"cache", "downloads", "errors", "files", "json_file", "nn", "settings", "weights"}
SOURCES = architecture.modules()
LIBRARY = {
    name: file
    for name, file in SOURCES.items()
    if architecture.room_of(name) not in ("bnn_keras", "zoo", "cli", "__main__", *architecture.DOORS)
}


@functools.cache
def nodes(file):
    return tuple(ast.walk(ast.parse(file.read_text("utf-8"))))


def parsed(files):
    """Every node of the syntax trees, with its file."""
    return [(file, node) for file in files for node in nodes(file)]


def test_the_picture_names_every_room_once():
    order = architecture.order()
    assert sorted(order) == sorted(architecture.arrows())


def test_every_arrow_goes_down():
    """So there is no cycle either, and nothing in the library imports zoo or cli, which are above it."""
    height = {room: -place for place, room in enumerate(architecture.order())}
    upwards = [(a, b) for a, rooms in architecture.arrows().items() for b in rooms if height[b] >= height[a]]
    assert not upwards
    library = {architecture.room_of(name) for name in LIBRARY}
    assert min(height["zoo"], height["cli"]) > max(height[room] for room in library)


def test_the_zoo_imports_only_what_a_network_needs():
    assert architecture.arrows()["zoo"] <= BELOW_ZOO


def test_the_counter_sees_imports_inside_functions_and_of_packages(tmp_path):
    (tmp_path / "bnn_keras" / "nn").mkdir(parents=True)
    (tmp_path / "zoo").mkdir()
    for name, text in {
        "bnn_keras/__init__.py": "from bnn_keras import errors",
        "bnn_keras/errors.py": "",
        "bnn_keras/nn/__init__.py": "from bnn_keras.nn import graph",
        "bnn_keras/nn/graph.py": "def later():\n    from bnn_keras.errors import UserError",
        "zoo/__init__.py": "import bnn_keras\nimport bnn_keras.nn.graph",
        "train.py": "from bnn_keras import nn\nfrom zoo import meliusnet",
        "convert.py": "from bnn_keras import train",
    }.items():
        (tmp_path / name).write_text(text)
    assert architecture.arrows(tmp_path) == {
        "errors": set(),
        "nn": {"errors"},
        "zoo": {"nn"},
        "train": {"nn", "zoo"},
        "convert": {"bnn_keras"},
    }


def test_flags_are_defined_in_cli_only():
    for file, node in parsed(LIBRARY.values()):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.split(".")[0] == "absl"], file


def test_no_lambda_layer_no_bare_assert_no_catch_all():
    for file, node in parsed(SOURCES.values()):
        assert not isinstance(node, ast.Assert), f"{file}:{node.lineno}"
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func).split(".")[-1] != "Lambda", f"{file}:{node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else ""
            # One that looks at everything must pass on what it does not know.
            passes_on = any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(node))
            assert passes_on or caught not in ("", "Exception", "BaseException"), f"{file}:{node.lineno}"


@pytest.mark.parametrize("door", ["train.py", "convert.py", "bnn_keras/__main__.py"])
def test_a_front_door_has_three_statements(door):
    body = ast.parse((ROOT / door).read_text("utf-8")).body
    assert isinstance(body[0], ast.Expr)  # its docstring
    assert len(body[1:]) <= 3


def python(code, **environment):
    """A process of its own that runs some code."""
    path = {"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": "/tmp"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env={**path, **environment}
    )


def test_settings_are_read_without_tensorflow():
    rooms = ["bnn_keras.errors", "bnn_keras.files", "bnn_keras.settings"]
    modules = [name for name in SOURCES if name.startswith(tuple(rooms))]
    done = python(f"import {', '.join(modules)}, sys; print('tensorflow' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


STATE = """
import importlib, os, signal, sys
import tensorflow, larq, larq_compute_engine, tensorflow_datasets, matplotlib.pyplot, sklearn.datasets

def state():
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    files = [(f.st_dev, f.st_ino) for f in map(os.fstat, (0, 1, 2))]
    return sys.argv, (sys.stdin, sys.stdout, sys.stderr), files, handlers, dict(os.environ), os.getcwd()

before = state()
import bnn_keras
for room in {rooms}:
    assert getattr(bnn_keras, room)  # comes when it is asked for, before anybody imports it
for name in {names}:
    importlib.import_module(name)
after = state()
print([now for was, now in zip(before, after) if was != now])
"""


def test_importing_the_library_changes_nothing_in_the_process():
    names = [*LIBRARY, *(name for name in SOURCES if name.startswith("zoo"))]
    done = python(STATE.format(names=names, rooms=bnn_keras._ROOMS), TF_USE_LEGACY_KERAS="1")
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_keras_2_is_set_when_the_zoo_comes_first():
    done = python("import zoo, tensorflow as tf; print(tf.keras.Model.__module__)")
    assert done.stdout.startswith("tf_keras."), done.stderr


def test_a_contrary_setting_is_overruled_with_a_warning():
    done = python("import bnn_keras, os; print(os.environ['TF_USE_LEGACY_KERAS'])", TF_USE_LEGACY_KERAS="0")
    assert done.stdout == "1\n"
    assert "TF_USE_LEGACY_KERAS=0 is set, but Larq needs Keras 2" in done.stderr


def test_the_guard_says_when_it_is_too_late(monkeypatch):
    model = type("Model", (), {"__module__": "keras.src.models.model"})
    keras_3 = types.SimpleNamespace(keras=types.SimpleNamespace(Model=model))
    monkeypatch.setitem(sys.modules, "tensorflow", keras_3)
    with pytest.raises(
        ImportError, match="TensorFlow was imported before bnn_keras and runs Keras 3.*_KERAS=1"
    ):
        legacy_keras.require()


@pytest.mark.large
def test_the_guard_guards_the_package():
    """That TensorFlow may come first where the variable is set, the test of importing above shows."""
    done = python("import tensorflow, zoo")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "TensorFlow was imported before bnn_keras and runs Keras 3" in last
    assert "TF_USE_LEGACY_KERAS=1" in last
