"""What every verb shares: flags and help without TensorFlow, exit statuses, and being interrupted."""

import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from bnn_keras import cli, status
from bnn_keras.cli import door, flags
from bnn_keras.cli.flags import COUNT, SWITCH, Flag
from bnn_keras.errors import UserError

ROOT = Path(__file__).parents[2]
BENCHMARKS = importlib.import_module("bnn_keras.cli.benchmark").VERBS
VERBS = [
    *([verb] for verb in cli.VERBS if verb != "benchmark"),
    *(["benchmark", verb] for verb in BENCHMARKS),
]
FLAGS = [Flag("number", COUNT, "how many", 1), Flag("switch", SWITCH, "on or off", True)]


def module_of(words):
    return importlib.import_module(f"bnn_keras.cli.{'.'.join(words).replace('-', '_')}")


def run(work, *words):
    """A verb made of a function."""
    verb = types.SimpleNamespace(__doc__="What it does.", FLAGS=FLAGS, run=work)
    return door.call(verb, words)


def fails(error):
    def work(values, positional):
        raise error

    return work


def test_exit_statuses(capsys):
    assert run(lambda values, positional: None) == 0
    assert run(lambda values, positional: door.PARTLY_DONE) == 1
    assert run(fails(UserError("Received 3; valid: 4."))) == 2
    assert capsys.readouterr().err == "error: Received 3; valid: 4.\n"
    # Python itself prints the trace of a bug, and ends with status 1.
    with pytest.raises(KeyError):
        run(fails(KeyError("a bug of ours")))


def test_a_sentence_does_not_begin_in_the_status_line(capsys, monkeypatch):
    monkeypatch.setattr(status, "on_terminal", lambda: True)
    assert run(fails(UserError("Received 3; valid: 4."))) == 2
    assert capsys.readouterr() == (status.ERASE, "error: Received 3; valid: 4.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--nubmer=2"], "Unknown flag --nubmer; did you mean --number[?]"),
        (["--noswich"], "Unknown flag --noswich; did you mean --noswitch or --switch[?]"),
        (["--colour"], "Unknown flag --colour; --help lists the valid ones."),
        (["--number=two"], "flag --number=two: it must be a whole number from 1 up."),
        (["--number=0"], "flag --number=0: it must be a whole number from 1 up."),
        (["--number"], "Missing value for flag --number."),
        (["--switch=perhaps"], "flag --switch=perhaps: it must be true or false."),
        (["stray"], "Unexpected argument 'stray'; every setting is a flag .--help lists them.."),
    ],
)
def test_a_mistake_in_a_flag_is_one_sentence(words, sentence, capsys):
    assert run(lambda values, positional: flags.no_more(positional), *words) == 2
    assert re.fullmatch(f"error: {sentence}\n", capsys.readouterr().err)


def test_values_of_flags():
    values, positional = flags.parse(FLAGS, ["word", "--noswitch", "--number=3", "--", "--number=4"])
    assert (values.number, values.switch, positional) == (3, False, ["word", "--number=4"])
    assert flags.given(values, ("number", "switch")) == {"number": 3, "switch": False}
    assert flags.given(flags.parse(FLAGS, [])[0], ("number", "switch")) == {}
    repeated = [Flag("set", flags.PATH, "", repeated=True)]
    assert flags.parse(repeated, ["--set=a=1", "--set=b"])[0].set == ["a=1", "b"]
    assert flags.parse(repeated, [])[0].set == []


def test_help_is_for_this_command_and_not_for_one_that_it_starts(capsys):
    assert run(lambda *_: pytest.fail("ran"), "--help") == 0
    shown = capsys.readouterr().out
    assert "What it does." in shown and "verbosity" not in shown
    assert "  --number      how many (a whole number from 1 up) [1]\n" in shown
    assert "  --[no]switch  on or off\n" in shown
    seen = []
    assert run(lambda values, positional: seen.extend(positional), "--", "other", "--help") == 0
    assert seen == ["other", "--help"]


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_the_help_of_a_verb_has_a_line_for_every_flag(words, capsys):
    assert cli.run([*words, "--help"]) == 0
    verb, lines = module_of(words), capsys.readouterr().out.splitlines()
    first = verb.__doc__.splitlines()[0]
    assert " ".join(lines).startswith(first) and first.endswith(".")
    assert any(line.startswith(f"bnn {' '.join(words)}") for line in lines)
    shown = re.split(r"\n+  --|\n\n", "\n".join(lines))
    for flag in verb.FLAGS:
        (entry,) = [" ".join(part.split()) for part in shown if re.match(rf"(\[no\])?{flag.name} ", part)]
        assert flag.meaning in entry, flag.name
    assert len([line for line in lines if line.startswith("  --")]) == len(verb.FLAGS)
    assert max(map(len, lines)) <= 80


def test_flags_stand_below_their_headings(capsys):
    assert cli.run(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    sequence = (
        *("Network:", "  --model ", "Data:", "  --dataset ", "Recipe ", "  --epochs ", "Augmentation "),
        *("  --mixup ", "Distillation:", "  --teacher ", "Run:", "  --seed "),
    )
    places = [shown.index(f"\n{text}") for text in sequence]
    assert places == sorted(places)
    assert all(flag.group for flag in module_of(["train"]).FLAGS)


@pytest.mark.parametrize("words", [[], ["--help"], ["benchmark"], ["benchmark", "--help"]])
def test_without_a_verb_all_of_them_are_listed(words, capsys):
    assert cli.run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    verbs = BENCHMARKS if "benchmark" in words else cli.VERBS
    entries = [line for line in lines[2:] if not line.startswith("   ")]
    assert [entry.split()[0] for entry in entries] == list(verbs)
    assert all(len(entry.split()) > 3 for entry in entries) and max(map(len, lines)) <= 80


def test_unknown_verbs(capsys):
    assert cli.run(["trian", "--model=a"]) == 2
    assert capsys.readouterr().err == "error: Unknown verb 'trian'; did you mean train?\n"
    assert cli.run(["xyz"]) == 2
    assert capsys.readouterr().err == f"error: Unknown verb 'xyz'; valid: {', '.join(cli.VERBS)}.\n"
    assert cli.run(["benchmark", "speed"]) == 2
    assert (
        "Unknown verb 'speed'; valid: data, convert, rewrites, step, train, flips, distill"
        in capsys.readouterr().err
    )


LIGHT = """
import sys
from bnn_keras import cli, status
for verb in {verbs}:
    for words in (["--help"], ["--nosuch"]):
        status = cli.run([*verb, *words])
        assert status == (2 if words == ["--nosuch"] else 0), (verb, status)
assert cli.run([]) == 0 and cli.run(["trian"]) == 2 and cli.run(["train", "--epochs=abc"]) == 2
heavy = {{"tensorflow", "numpy", "matplotlib", "sklearn", "larq", "h5py"}} & set(sys.modules)
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""


def test_help_and_wrong_flags_need_nothing_heavy():
    done = process("-c", LIGHT.format(verbs=VERBS))
    assert done.returncode == 0, done.stderr[-500:]


def process(*words, **options):
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize("words", [["bnn_keras"], ["bnn_keras", "train", "--help"]], ids=len)
def test_help_comes_at_once(words):
    """0.15 s of the processor's time here; another process's work does not count."""
    process("-m", *words)  # compiles, where nobody has

    def used():
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    before = used()
    assert process("-m", *words).returncode == 0
    assert used() - before < 0.6


@pytest.mark.parametrize("script", ["train.py", "convert.py"])
def test_the_front_doors_are_verbs(script):
    done = process(script, "--help")
    title = module_of([script.removesuffix(".py")]).__doc__.splitlines()[0]
    assert " ".join(done.stdout.split()).startswith(title)
    done = process(script, "--nosuch")
    assert done.returncode == 2 and done.stderr.startswith("error: Unknown flag --nosuch; ")


def interrupt(words, number, ready, cwd):
    """Start a command, send it a signal when `ready(process)` says so, and wait for its end."""
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(cwd)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background may have told its children to ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as started:
        ready(started)
        started.send_signal(number)
        _, errors = started.communicate(timeout=60)
    return started.returncode, errors


def interrupted(errors):
    return re.fullmatch("interrupted; to (resume|start again): .*\n", errors) is not None


def after(seconds):
    return lambda started: time.sleep(seconds)


def line_with(text):
    def wait(started):
        while text not in (line := started.stdout.readline()):
            assert line, started.stderr.read()

    return wait


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("interrupted")


# In the first second TensorFlow is imported, then Larq and the rest.
CONVERT, SERVICE = ["convert.py", "no.keras"], ["-m", "bnn_keras", "data-service"]


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (CONVERT, 0.7),
        (SERVICE, 2.0),
        pytest.param(CONVERT, 2.0, marks=pytest.mark.large),
        pytest.param(SERVICE, 0.7, marks=pytest.mark.large),
    ],
    ids=str,
)
def test_interrupted_while_it_imports(words, seconds, place):
    words = [str(ROOT / words[0]) if words[0].endswith(".py") else words[0], *words[1:]]
    status, errors = interrupt(words, signal.SIGINT, after(seconds), place)
    # A fast machine may have come to the missing file by then.
    assert (status, interrupted(errors)) == (130, True) or errors.startswith("error: No such file")


TINY = ["--model=birealnet18", "--set=blocks=1", "--set=channels=32"]


def test_interrupted_while_it_trains(place):
    words = [str(ROOT / "train.py"), *TINY, "--epochs=500", f"--output_dir={place}/run"]
    status, errors = interrupt(words, signal.SIGINT, line_with("recipe: "), place)
    # Before the first step there is nothing to save.
    saving = ", saving a checkpoint (a second time ends at once)"
    told = errors.replace(saving, "")
    assert (status, told) == (130, f"interrupted; to resume: python {' '.join(words)}\n")
    assert (place / "run" / "checkpoints" / "checkpoint").is_file() == (saving in errors)
    assert not list(place.rglob("*.partial*"))
    assert json.loads((place / "run" / "config.json").read_text())["model"] == "birealnet18"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("word", ["other", "nothing"])
def test_an_exception_that_swallows_the_interruption_does_not_hide_it(word, number, status, place):
    """TensorFlow turns what is raised in its callbacks into errors of its own, or goes on."""
    code = """
import sys, time, types
from bnn_keras.cli import door, interruption
interruption.GRACE_SECONDS = 0.5
def work(words):
    print("ready", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("noise", file=sys.stderr)
        if sys.argv[1] == "other":
            raise ValueError("another exception") from None
    time.sleep(60)
door.run = work
sys.exit(door.main())
"""
    ended, errors = interrupt(["-c", code, word], number, line_with("ready"), place)
    assert ended == status and interrupted(errors)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("twice", [False, True])
def test_a_command_with_something_to_save_ends_itself_or_at_the_second_signal(twice, number, place):
    code = """
import sys, time
from bnn_keras.cli import door, interruption
def work(words):
    interruption.requested()
    print("ready", flush=True)
    while not interruption.requested():
        time.sleep(0.01)
    print("noted", flush=True)
    if sys.argv[1] == "twice":
        time.sleep(60)
    print("saved", file=sys.stderr)
    raise KeyboardInterrupt
door.run = work
sys.exit(door.main())
"""

    def ready(started):
        line_with("ready")(started)
        if twice:
            started.send_signal(number)
            line_with("noted")(started)

    status, errors = interrupt(["-c", code, "twice" if twice else "once"], number, ready, place)
    assert status == 128 + number
    line, *rest = errors.splitlines()
    assert line.startswith("interrupted, saving a checkpoint (a second time ends at once); to start again: ")
    assert rest == ([] if twice else ["saved"])


@pytest.mark.parametrize(
    ("output", "status", "sentence"),
    [
        ("closed pipe", 141, ""),
        ("/dev/full", 2, "error: Cannot write the output: No space left on device.\n"),
        (None, 0, ""),
    ],
)
def test_output_that_cannot_be_written(output, status, sentence):
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "w") as full, os.fdopen(writer, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "bnn_keras", "train", "--help"],
            cwd=ROOT,
            check=False,
            stdout={"closed pipe": pipe, "/dev/full": full, None: None}[output],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=None if output else lambda: os.close(1),
        )
    assert (done.returncode, done.stderr) == (status, sentence)


@pytest.mark.large
def test_output_that_nobody_reads_ends_a_training(place):
    """At once and without a word, as it ends any program; the run can be resumed."""
    words = [sys.executable, ROOT / "train.py", *TINY, "--epochs=500", f"--output_dir={place}/unread"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        started.stdout.close()
        assert (started.wait(600), started.stderr.read()) == (141, b"")
    assert not list(place.rglob("*.partial*"))


def test_every_sentence_is_one_printable_line(capsys):
    assert run(fails(UserError("no a\udcffb\nc"))) == 2
    assert run(fails(PermissionError(13, "Permission denied", "a\udcffb"))) == 2
    lines = "error: no a\\xffb\\nc\nerror: Cannot read a\\xffb: Permission denied.\n"
    assert capsys.readouterr().err == lines
    with pytest.raises(OSError, match="a bug"):
        run(fails(OSError("a bug of ours")))


def test_a_bug_of_ours_shows_its_trace_and_ends_with_status_1():
    code = "from bnn_keras.cli import door; door.run = lambda words: 1 / 0; door.main()"
    done = process("-c", code)
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
