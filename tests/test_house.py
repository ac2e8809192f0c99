"""The house: which room may know which, the guard for Keras 2, and what a failure looks like."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

import convert
import train
from bnn_keras.cli import command as cli
from bnn_keras.errors import UserError

ROOT = Path(__file__).parents[1]
# `python -m bnn_keras.<verb>`: doors, which may know the zoo.
VERBS = {"summary", "evaluate", "predict", "benchmark", "tables", "teachers"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_library_does_not_know_the_zoo_and_the_zoo_knows_no_door():
    library = [
        p
        for p in (ROOT / "bnn_keras").rglob("*.py")
        if p.relative_to(ROOT).parts[1].removesuffix(".py") not in VERBS and p.name != "__main__.py"
    ]
    assert len(library) > 30
    for path in library:
        assert not [name for name in imported(path) if name.split(".")[0] in ("zoo", "train", "convert")], (
            path
        )
    for path in (ROOT / "zoo").glob("*.py"):
        for name in imported(path):
            top, _, rest = name.partition(".")
            assert top not in ("train", "convert") and not (
                top == "bnn_keras" and rest.split(".")[0] in VERBS
            ), path


def test_no_lambda_layer_no_bare_assert_no_catch_all():
    for path in [
        *(ROOT / "bnn_keras").rglob("*.py"),
        *(ROOT / "zoo").glob("*.py"),
        ROOT / "train.py",
        ROOT / "convert.py",
    ]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.Assert), path
            assert not (
                isinstance(node, ast.Attribute) and node.attr == "Lambda" and path.name != "accounting.py"
            ), path
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else ""
                assert caught and caught != "Exception", path


def test_the_front_doors_hold_no_logic():
    for door in ("train.py", "convert.py"):
        assert len((ROOT / door).read_text(encoding="utf-8").splitlines()) < 80


def python(code, **environment):
    path = {"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": "/tmp"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env={**path, **environment}
    )


@pytest.mark.parametrize("first", ["bnn_keras", "zoo", "train"])
def test_keras_2_is_set_however_the_user_comes_in(first):
    done = python(f"import {first}, tensorflow as tf; print(tf.keras.Model.__module__)")
    assert done.stdout.startswith("tf_keras."), done.stderr


def test_the_guard_says_when_it_is_too_late():
    done = python("import tensorflow, zoo")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert (
        "TensorFlow was imported before bnn_keras and runs Keras 3" in last
        and "TF_USE_LEGACY_KERAS=1" in last
    )
    assert python("import tensorflow, bnn_keras; print('fine')", TF_USE_LEGACY_KERAS="1").stdout == "fine\n"


def test_a_contrary_setting_is_overruled_aloud():
    done = python(
        "import bnn_keras, tensorflow as tf; print(tf.keras.Model.__module__)", TF_USE_LEGACY_KERAS="0"
    )
    assert done.stdout.startswith("tf_keras.") and "bnn_keras sets it to 1" in done.stderr


def run(main, *arguments):
    values = flags.FlagValues()
    flags.DEFINE_integer("number", 1, "a number", flag_values=values)
    return cli.run(main, values, "what it does", ["program", *arguments])


def fails(error):
    def main(values, positional):
        raise error

    return main


def test_exit_status(capsys):
    assert run(lambda values, positional: None) == 0
    assert run(fails(UserError("Received 3; valid: 4."))) == 2
    assert capsys.readouterr().err == "error: Received 3; valid: 4.\n"
    assert run(fails(KeyError("a bug of ours"))) == 1
    assert "Traceback" in capsys.readouterr().err
    assert run(fails(KeyboardInterrupt())) == 130


def test_flags_that_do_not_exist_or_fit(capsys):
    assert run(lambda *_: None, "--nubmer=2") == 2
    error = capsys.readouterr().err
    assert "nubmer" in error and "valid flags: --number" in error and "Traceback" not in error
    assert run(lambda *_: None, "--number=two") == 2
    assert "two" in capsys.readouterr().err
    assert run(lambda values, positional: cli.no_more(positional), "stray") == 2
    assert "Unexpected argument 'stray'" in capsys.readouterr().err


def test_help_shows_what_it_does_and_our_flags_only(capsys):
    assert run(lambda *_: pytest.fail("ran"), "--help") == 0
    shown = capsys.readouterr().out
    assert "what it does" in shown and "--number" in shown and "verbosity" not in shown


@pytest.mark.parametrize("command", [train, convert], ids=["train", "convert"])
def test_help_has_one_line_for_every_flag(command, capsys):
    assert command.main(["program", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in command.FLAGS:
        (line,) = [line for line in lines if re.match(rf"  --(\[no\])?{name} ", line)]
        assert command.FLAGS[name].help.split()[-1] in line, name
    assert len([line for line in lines if line.startswith("  --")]) == len(list(command.FLAGS))
