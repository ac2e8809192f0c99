"""Flags as data: a name, the values that are valid, what the flag means, and its default.

Every flag takes its values as one of `bnn_keras.settings.kinds`, as the keys of a recipe do, so that
the same mistake gets the same sentence in a file and on the command line.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from absl import flags

from bnn_keras.errors import UserError, did_you_mean
from bnn_keras.settings import checkpoint
from bnn_keras.settings.kinds import COUNT as COUNT
from bnn_keras.settings.kinds import Choice, Kind, Optional, Switch, Text, wanted

PATH = Text("a path")
SWITCH = Switch()
NEGATION = "no_"  # a switch whose name begins so is not shown with its opposite


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag of a verb.

    Args:
        name: without the dashes.
        kind: of its value.
        meaning: for --help.
        default: of its value.
        repeated: whether it may be given several times; the value is then a list.
        group: the heading in --help below which it stands, if there is one; see `in_groups`.
    """

    name: str
    kind: Kind
    meaning: str
    default: object = None
    repeated: bool = False
    group: str = ""

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value: --name and --noname."""
        return self.kind in (SWITCH, Optional(SWITCH))

    def define(self, values: flags.FlagValues) -> None:
        """Define it among a command's flags."""
        if self.is_switch:
            flags.DEFINE_boolean(self.name, self.default, self.meaning, values)
            values[self.name].parser = _Parser(self.kind)
        elif self.repeated:
            flags.DEFINE_multi(_Parser(self.kind), None, self.name, [], self.meaning, values)
        else:
            flags.DEFINE(_Parser(self.kind), self.name, self.default, self.meaning, values)

    @property
    def explanation(self) -> str:
        """What it means, what is valid, and the default in brackets."""
        valid = "" if self.is_switch else f" ({self.kind.valid})"
        default = "" if self.is_switch or self.default in (None, ()) else f" [{self.default}]"
        return f"{self.meaning}{valid}{default}"

    @property
    def typed(self) -> str:
        """The flag as it is typed."""
        is_negated = self.is_switch and not self.name.startswith(NEGATION)
        return f"--{'[no]' * is_negated}{self.name}"


class _Parser(flags.ArgumentParser):
    """Reads the text of a flag as a value of a kind; absl's own sentences do not say what is valid."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self._kind = kind

    def parse(self, argument: object) -> object:
        if not isinstance(argument, str):
            return argument
        try:
            return self._kind.convert(self._kind.parse(argument))
        except ValueError:
            raise ValueError(f"it must be {wanted(self._kind, argument)}") from None


def of_fields(fields: Iterable[dataclasses.Field], defaults: bool = True) -> list[Flag]:
    """A flag for each field of a dataclass of settings.

    Args:
        fields: made by `bnn_keras.settings.kinds.setting`.
        defaults: whether the flags have the fields' defaults; otherwise they have none.
    """
    return [
        Flag(field.name, field.metadata["kind"], field.metadata["help"], field.default if defaults else None)
        for field in fields
    ]


def in_groups(*parts: str | Flag) -> list[Flag]:
    """Flags with the headings below which --help shows them.

    Args:
        parts: each heading, followed by its flags.
    """
    grouped, heading = [], ""
    for part in parts:
        if isinstance(part, str):
            heading = part
        else:
            grouped.append(dataclasses.replace(part, group=heading))
    return grouped


def given(values: flags.FlagValues, names: Iterable[str]) -> dict[str, Any]:
    """The values of those flags that the command line gives."""
    return {name: values[name].value for name in names if values[name].present}


def parse(declared: Sequence[Flag], words: Sequence[str]) -> tuple[flags.FlagValues, list[str]]:
    """Read the words of a command line.

    Args:
        declared: the flags of the verb.
        words: the command line after the verb.

    Returns:
        The values of the flags, and the words that belong to none of them.

    Raises:
        UserError: an unknown flag, or a value that is not valid.
    """
    values = flags.FlagValues()
    for flag in declared:
        flag.define(values)
    try:
        return values, values(["bnn", *words])[1:]
    except flags.UnrecognizedFlagError as error:
        raise _unknown(error.flagname, declared) from None
    except flags.Error as error:
        raise UserError(f"{str(error).rstrip('.')}.") from None


def _unknown(name: str, declared: Sequence[Flag]) -> UserError:
    """The error for a flag that a verb does not have."""
    names = [flag.name for flag in declared] + [
        f"no{flag.name}" for flag in declared if flag.typed.startswith("--[")
    ]
    advice = did_you_mean(name, names, prefix="--") or "--help lists the valid ones."
    return UserError(f"Unknown flag --{name}; {advice}")


def no_more(positional: Sequence[str], most: int = 0) -> None:
    """Refuse words on the command line that belong to no flag and no argument.

    Raises:
        UserError: there are more than `most`.
    """
    if len(positional) > most:
        raise UserError(
            f"Unexpected argument {positional[most]!r}; every setting is a flag (--help lists them)."
        )


DATA = Text("digits, folder:PATH or a set of TensorFlow Datasets")
DATA_DIR = Flag("data_dir", PATH, "folder in which TensorFlow Datasets keeps its sets")


def which_weights(name: str) -> Flag:
    """The flag that chooses between the weights of a run."""
    return Flag(name, Choice(tuple(checkpoint.FILES)), "which weights of a run folder", checkpoint.BEST)


def which_or_published_weights(name: str) -> Flag:
    """The same flag of a verb that also takes the name of a network with published weights."""
    return Flag(
        name,
        Choice((*checkpoint.FILES, checkpoint.IMAGENET)),
        "which weights of a run folder; imagenet: PATH is a network of the zoo with published ones",
        checkpoint.BEST,
    )
