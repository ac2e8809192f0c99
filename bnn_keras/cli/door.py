"""The door to every verb: from a command line to an exit status.

Nothing heavy is imported here before the flags are read, and TensorFlow quietly after that.
"""

import contextlib
import importlib
import itertools
import logging
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from bnn_keras import files, status
from bnn_keras.cli import columns
from bnn_keras.cli.interruption import Interruption
from bnn_keras.errors import UserError, one_of

PACKAGE = "bnn_keras.cli"
# Exit statuses: the work was done; some inputs, each named in a sentence, were left out; a user's mistake.
DONE, PARTLY_DONE, MISTAKE = 0, 1, 2
RESUMED = ("train", "search", "launch")  # the same command goes on where one was stopped
HELP = {"--help", "-h", "--helpfull"}


def main(verb: str | None = None) -> int:
    """Run the command line of this process.

    Args:
        verb: what stands before its words; None if they begin with a verb.

    Returns:
        The exit status, as `run` gives it. A bug of ours is raised, which prints its trace and gives 1.
        After Ctrl-C it is 130, after SIGTERM 143, and 141 if nobody reads standard output any more.
    """
    _open_standard_streams()
    words = [*([] if verb is None else [verb]), *sys.argv[1:]]
    interruption = Interruption(_how_to_go_on(words)).listen()
    try:
        status = run(words)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _leave_output()
        return 128 + signal.SIGPIPE
    except OSError as error:  # of standard output: others name a file
        if error.errno is None:
            raise
        _leave_output()
        return _mistake(f"Cannot write the output: {error.strerror}.")
    finally:
        if interruption.status is not None:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            interruption.leave()


def _open_standard_streams() -> None:
    """Open what the parent process has closed, so that no file of ours takes its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115


def _how_to_go_on(words: Sequence[str]) -> str:
    """What to type after an interruption."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        start = ["python", "-m", "bnn_keras"]
    else:
        start = ["python", sys.argv[0]] if program.suffix == ".py" else [program.name]
    purpose = "resume" if words and words[0] in RESUMED else "start again"
    return f"to {purpose}: {files.printable(shlex.join([*start, *sys.argv[1:]]))}"


def _leave_output() -> None:
    """Let the rest of the output go nowhere: otherwise Python complains about it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def run(words: Sequence[str], package: str = PACKAGE) -> int:
    """Run a verb.

    Args:
        words: the verb and what follows it on the command line.
        package: of the verbs; its `VERBS` are their names.

    Returns:
        0 if the work was done, 2 after a user's mistake (one sentence on standard error). Only `predict`,
        which works on many inputs, gives 1: some cannot be read (a sentence for each), the others are done.

    Raises:
        SystemExit: another program that the verb started failed; with its exit status.
    """
    verbs = importlib.import_module(package)
    if hasattr(sys.stdout, "reconfigure"):
        # A name of a file need not be UTF-8, nor the terminal.
        sys.stdout.reconfigure(errors="backslashreplace")
    if not words or words[0] in HELP:
        print(_overview(verbs))
        return 0
    verb, *rest = words
    if verb not in verbs.VERBS:
        return _mistake(str(one_of("verb", verb, verbs.VERBS)))
    module = _module(package, verb)
    if hasattr(module, "VERBS"):
        return run(rest, module.__name__)
    return call(module, rest)


def call(verb: ModuleType, words: Sequence[str]) -> int:
    """Run a verb's module: read its flags, import TensorFlow if it needs that, and do its work.

    Args:
        verb: with a docstring, `FLAGS` and `run`; see `bnn_keras.cli`.
        words: the command line after the verb.
    """
    from bnn_keras.cli import flags

    # What follows "--" is for another program.
    if HELP.intersection(words[: words.index("--")] if "--" in words else words):
        print(_help(verb))
        return 0
    try:
        values, positional = flags.parse(verb.FLAGS, words)
        if getattr(verb, "NEEDS_TENSORFLOW", True):
            _import_tensorflow_quietly()
            importlib.import_module("zoo")  # registers the layers of every paper
        status = verb.run(values, positional)
    except UserError as error:
        return _mistake(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        return _mistake(str(files.unusable(error, error.filename)))
    return DONE if status is None else status


def complain(sentence: str) -> None:
    """Print a sentence about what cannot be done on standard error."""
    status.clear()
    print(f"error: {files.printable(sentence)}", file=sys.stderr)


def _mistake(sentence: str) -> int:
    complain(sentence)
    return MISTAKE


def _module(package: str, verb: str) -> ModuleType:
    return importlib.import_module(f"{package}.{verb.replace('-', '_')}")


def _overview(verbs: ModuleType) -> str:
    """Every verb with the first line of its docstring."""
    program = " ".join(["bnn", *verbs.__name__.removeprefix(PACKAGE).split(".")[1:]])
    width = max(map(len, verbs.VERBS))
    lines = [
        columns.entry(f"{verb:{width}}", _first_line(_module(verbs.__name__, verb))) for verb in verbs.VERBS
    ]
    return "\n".join([f"{program} VERB [flags]; {program} VERB --help explains a verb.", "", *lines])


def _first_line(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def _help(verb: ModuleType) -> str:
    """A verb's docstring, then its flags below their headings."""
    width = max((len(flag.typed) for flag in verb.FLAGS), default=0)
    lines = [columns.prose(verb.__doc__ or "")]
    for heading, flags in itertools.groupby(verb.FLAGS, lambda flag: flag.group):
        lines += ["", *([f"{heading}:"] if heading else [])]
        lines += [columns.entry(f"{flag.typed:{width}}", flag.explanation) for flag in flags]
    return "\n".join(lines)


def _import_tensorflow_quietly() -> None:
    """Import TensorFlow without its announcements of accelerators that are not there.

    They come from C++ before any setting of its log is read. What it has to say later is shown.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # A user's own setting wins.
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3" or "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        importlib.import_module("tensorflow")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
