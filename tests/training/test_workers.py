"""The launcher of several workers: their cluster, their failures, and their restarts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnn_keras import cli
from bnn_keras.training import workers

ROOT = Path(__file__).parents[2]


def run_launch(tmp_path, code, *flags):
    """Launch a Python program of a few lines in two workers, which know their own `index`."""
    program = tmp_path / "program.py"
    program.write_text(
        "import json, os, signal, sys, time\n"
        "from pathlib import Path\n"
        "config = json.loads(os.environ['TF_CONFIG'])\n"
        "index = config['task']['index']\n"
        f"here = Path({str(tmp_path)!r})\n" + code
    )
    return cli.run(["launch", *flags, "--", str(program), "--an_option=1"])


def test_every_worker_runs_the_command_and_knows_the_cluster(tmp_path, capfd):
    code = "(here / str(index)).write_text(json.dumps([config, sys.argv[1:]])); print('from', index)"
    assert run_launch(tmp_path, code, "--workers=3", f"--logs={tmp_path}/logs") == 0
    seen = [json.loads((tmp_path / str(i)).read_text()) for i in range(3)]
    assert len({address for config, _ in seen for address in config["cluster"]["worker"]}) == 3
    assert [config["task"] for config, _ in seen] == [{"type": "worker", "index": i} for i in range(3)]
    assert [words for _, words in seen] == [["--an_option=1"]] * 3
    assert capfd.readouterr().out == "from 0\n"
    assert (tmp_path / "logs" / "worker2.log").read_text() == "from 2\n"


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_starts_all_again(victim, tmp_path, capfd):
    code = f"""
first = not (here / f"been{{index}}").exists()
(here / f"been{{index}}").write_text("")
if first:
    while not (here / f"been{{1 - index}}").exists():
        time.sleep(0.01)
    if index == {victim}:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(100)
print("done", index)
"""
    assert run_launch(tmp_path, code) == 0
    assert capfd.readouterr().out == f"worker {victim} was killed by SIGKILL; all start again\ndone 0\n"


@pytest.mark.parametrize(
    ("code", "status", "shown"),
    [
        ("if index: print('error: no such thing.', file=sys.stderr); sys.exit(2)\ntime.sleep(100)", 2,
         "error: no such thing.\n"),
        ("print('error: no such thing.', file=sys.stderr); sys.exit(2)", 2, "error: no such thing.\n"),
        ("time.sleep(100 * (1 - index)); 1 / 0", 1, "ZeroDivisionError"),
        # Whoever loses a peer may abort, which is no reason to start again.
        ("""
import fcntl
lock = open(here / "lock", "w")
if index:
    fcntl.flock(lock, fcntl.LOCK_EX)
    (here / "locked").touch()
    sys.exit("a bug")
while not (here / "locked").exists():
    time.sleep(0.01)
fcntl.flock(lock, fcntl.LOCK_EX)  # when the other one is gone
os.abort()
""", 1, "a bug"),
    ],
    ids=["one", "all", "bug", "abort"],
)  # fmt: skip
def test_a_worker_that_fails_by_itself_ends_all(code, status, shown, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(workers, "GRACE_SECONDS", 1.0)
    with pytest.raises(SystemExit) as ended:
        run_launch(tmp_path, code)
    captured = capfd.readouterr()
    assert ended.value.code == status and "again" not in captured.out
    assert shown in captured.err and captured.err.count("error: ") == (status == 2)


def test_starting_again_without_progress_has_an_end(tmp_path, capfd):
    code = """
starts = here / f"starts{index}"
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
if not index:
    # From step 3 in the second start, and from step 5 in all later ones.
    step = [None, 3, 5][min(len(starts.read_text()), 3) - 1]
    print(f"resuming at epoch 1, step 3 (global step {step})" if step else "anew", flush=True)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(100)
"""
    assert run_launch(tmp_path, code) == 2
    error = capfd.readouterr().err
    assert error.startswith(
        "error: Worker 0 was killed by SIGKILL, and 5 starts from step 5 came to no later"
    )
    assert (tmp_path / "starts0").read_text() == "x" * (2 + workers.STARTS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ending_the_launcher_ends_all(number, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, time, json\n"
        "index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
        "open(sys.argv[1] + f'/pid{index}', 'w').write(f'{os.getpid()}\\n')\n"
        "time.sleep(100)\n"
    )
    command = [sys.executable, "-m", "bnn_keras", "launch", "--workers=2", "--", str(program), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as launcher:
        pids = [tmp_path / f"pid{i}" for i in range(2)]
        wait_for(lambda: all(pid.exists() and pid.read_text().endswith("\n") for pid in pids))
        launcher.send_signal(number)
        assert launcher.wait(30) == 128 + number
        line = launcher.stderr.read()
        assert line.startswith("interrupted; to resume: python -m bnn_keras launch --workers=2 -- ")
        assert line.endswith("\n") and line.count("\n") == 1
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "There is no command: give it after --"),
        (["--workers=0", "--", "train.py"], "--workers"),
        (["--", "trian.py"], "There is no file or program trian.py"),
        (["--", "bnn-trian"], "There is no file or program bnn-trian"),
        (
            ["--logs=/dev/null/logs", "--", "train.py", "--list_models"],
            "Cannot write /dev/null/logs/worker1.log",
        ),
        (["--", "/dev/null.py"], "There is no file or program /dev/null.py"),
        (["--", "a" * 300], "There is no file or program a"),
        (["--wrkers=2", "--", "train.py"], "Unknown flag --wrkers; did you mean --workers?"),
    ],
)
def test_mistakes_at_the_launch(words, sentence, capfd):
    assert cli.run(["launch", *words]) == 2
    assert sentence in capfd.readouterr().err


def test_programs_that_cannot_be_executed_or_fail(tmp_path, capfd):
    program = tmp_path / "program"
    program.write_bytes(b"x")
    program.chmod(0o755)
    assert cli.run(["launch", "--", str(program)]) == 2
    assert capfd.readouterr().err == f"error: {program} cannot be executed: Exec format error.\n"
    with pytest.raises(SystemExit) as ended:
        cli.run(["launch", "--", "/bin/sh", "-c", "exit 7"])
    assert ended.value.code == 7
    assert capfd.readouterr().err == "/bin/sh ended with status 7.\n"


def wait_for(condition, seconds=60, pause=0.05):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(pause)
