"""What every command shares: flags, and the exit status of each kind of failure."""

import ast
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from absl import flags

from bnn_keras.errors import UserError


def _import_tensorflow_quietly() -> None:
    """Import TensorFlow without its announcements of accelerators that are not there.

    They come from C++ before any setting of its log is read; what it has to say later is unharmed.
    """
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


_import_tensorflow_quietly()


def run(
    main: Callable[[flags.FlagValues, list[str]], None],
    flag_values: flags.FlagValues,
    usage: str,
    argv: Sequence[str] | None = None,
) -> int:
    """Parse the command line, call `main(flags, positional arguments)` and give the exit status.

    Args:
        main: the command; it returns when the work was done.
        flag_values: the flags that the command defined.
        usage: text for --help.
        argv: the command line with the program's name first; `sys.argv` if None.

    Returns:
        0 if the work was done, 2 for a user's mistake (one sentence on standard error), 1 for a
        bug of ours (with its trace), 130 if interrupted.
    """
    argv = list(sys.argv if argv is None else argv)
    # Options are explained on --help and nowhere else; absl's own flags would drown ours.
    if {"--help", "-h", "--helpfull"} & set(argv[1:]):
        print(f"{usage.strip()}\n\n{_lines(flag_values)}")
        return 0
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        main(flag_values, _parse(flag_values, argv))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        traceback.print_exc()
        return 1
    return 0


def _lines(flag_values: flags.FlagValues) -> str:
    """A line for each flag: what it means, what is valid, and the default in brackets."""
    known = [flag for module in flag_values.flags_by_module_dict().values() for flag in module]
    names = [f"--{'[no]' * flag.boolean}{flag.name}" for flag in known]
    width = max(map(len, names), default=0)
    lines = []
    for name, flag in zip(names, known, strict=True):
        meaning, valid = " ".join(flag.help.split()), flag.parser.syntactic_help
        # A switch is its own value. The default as it would be typed, without absl's quotes.
        kind = "" if flag.boolean or not valid else f" ({valid})"
        default = "" if flag.boolean or flag.default in (None, "", []) else f" [{flag.default_as_str[1:-1]}]"
        lines.append(f"  {name:{width}}  {meaning}{kind}{default}\n")
    return "".join(lines)


def _parse(flag_values: flags.FlagValues, argv: list[str]) -> list[str]:
    for name in flag_values:
        flag_values[name].unparse()  # a second call in one process starts anew
    try:
        return flag_values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        names = ", ".join(f"--{name}" for name in sorted(flag_values))
        raise UserError(f"{str(error).rstrip('.')}; valid flags: {names}.") from None
    except flags.Error as error:
        raise UserError(f"{str(error).rstrip('.')}.") from None


def no_more(positional: Sequence[str], most: int = 0) -> None:
    """Refuse words on the command line that no flag and no argument takes."""
    if len(positional) > most:
        raise UserError(
            f"Unexpected argument {positional[most]!r}; every setting is a flag (--help lists them)."
        )


def setting(text: str) -> tuple[str, object]:
    """The name and the value of NAME=VALUE; a value that is no Python literal is a word.

    Raises:
        UserError: a text of another form.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set takes NAME=VALUE. Received: {text!r}.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
