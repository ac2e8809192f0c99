"""The status line: overwritten on a terminal, a line each elsewhere."""

import io
import sys
import time

from bnn_keras import status


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_in_a_log_every_status_is_a_line(capsys):
    with status.doing("counting"):
        status.show("x" * 200)
    status.clear()
    assert capsys.readouterr().out == f"counting\n{'x' * 200}\n"


def test_a_terminal_has_one_line_which_is_erased(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "20")
    with status.doing("counting"):
        status.show("x" * 200)
    erase = "\r\x1b[K"
    assert sys.stdout.getvalue() == f"{erase}counting{erase}{'x' * 19}{erase}"


def test_a_log_says_from_time_to_time_how_much_is_done(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for item in status.counted("abcdefg", 7, "letters"):
        now[0] += 10 if item < "f" else 20
    assert capsys.readouterr().out == "letters: 3 of 7\nletters: 6 of 7\n"
