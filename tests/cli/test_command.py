"""What every command shares: flags, help, and what a failure looks like."""

import re

import pytest
from absl import flags

import convert
import train
from bnn_keras.cli import command as cli
from bnn_keras.errors import UserError


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
