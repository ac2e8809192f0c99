"""The kinds of values that a setting can have, whether they come from a file, a flag or a call."""

import dataclasses
import math
import reprlib
from collections.abc import Sequence
from typing import Any

from bnn_keras.errors import UserError

LARGEST = 2**31 - 1  # of whole numbers, unless a kind ends below it
# For messages: a value is shown whole unless it is absurdly long.
_SHORT = reprlib.Repr()
_SHORT.maxstring, _SHORT.maxlong, _SHORT.maxtuple, _SHORT.maxlist = 120, 40, 30, 30


@dataclasses.dataclass(frozen=True)
class Number:
    """A finite number in an interval.

    Args:
        low, high: the ends of the interval; a whole number ends at `LARGEST` at the latest.
        open_low, open_high: leave the end out.
        whole: only integers.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if self.whole:
            object.__setattr__(self, "high", min(self.high, LARGEST))

    @property
    def valid(self) -> str:
        """What is valid, in words."""
        words = ["a whole number" if self.whole else "a number"]
        has_end = self.high < (LARGEST if self.whole else math.inf)
        if self.low > -math.inf:
            words.append(f"{'above' if self.open_low else 'from'} {_shown(self.low)}")
            words.append("up" if not has_end and not self.open_low else "")
        if has_end:
            words.append(f"{'to below' if self.open_high else 'to'} {_shown(self.high)}")
        return " ".join(filter(None, words))

    def parse(self, text: str) -> float:
        """The number that a text stands for; ValueError if it stands for none."""
        return int(text) if self.whole else float(text)

    def convert(self, value: object) -> float:
        """The value in its own type; ValueError if it is not of this kind."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            raise ValueError
        if not self.whole:
            value = _as_float(value)
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        if not (above and below and math.isfinite(value)):
            raise ValueError
        return value


COUNT = Number(1, whole=True)
SEED = Number(0, whole=True)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some values, names or numbers."""

    values: Sequence[str | float]

    @property
    def valid(self) -> str:
        """What is valid, in words."""
        return f"one of {', '.join(_shown(value) for value in self.values)}"

    def parse(self, text: str) -> str | float:
        """The value that is written so; ValueError if there is none."""
        for value in self.values:
            if text == value or (not isinstance(value, str) and float(text) == value):
                return value
        raise ValueError

    def convert(self, value: object) -> str | float:
        """The value itself; ValueError if it is not one of them."""
        for valid in self.values:
            if not isinstance(value, bool) and isinstance(value, str | int | float) and value == valid:
                return valid
        raise ValueError


@dataclasses.dataclass(frozen=True)
class Text:
    """A text that is not empty.

    Args:
        valid: what is meant, in words.
    """

    valid: str

    def parse(self, text: str) -> str:
        """The text itself."""
        return text

    def convert(self, value: object) -> str:
        """The text; ValueError if it is none."""
        if not isinstance(value, str) or not value:
            raise ValueError
        return value


@dataclasses.dataclass(frozen=True)
class Texts:
    """Several texts: a list in a file, separated by commas in a flag.

    Args:
        what: they are, in words.
    """

    what: str

    @property
    def valid(self) -> str:
        """What is valid, in words."""
        return f"a list of {self.what}"

    def parse(self, text: str) -> tuple:
        """The texts between the commas."""
        return tuple(part.strip() for part in text.split(",")) if text else ()

    def convert(self, value: object) -> tuple:
        """A tuple; ValueError if it holds anything but texts."""
        if not isinstance(value, list | tuple) or not all(isinstance(part, str) and part for part in value):
            raise ValueError
        return tuple(value)


@dataclasses.dataclass(frozen=True)
class Switch:
    """True or false."""

    valid = "true or false"

    def parse(self, text: str) -> bool:
        """True for "true", False for "false"; ValueError for any other text."""
        if text.lower() not in ("true", "false"):
            raise ValueError
        return text.lower() == "true"

    def convert(self, value: object) -> bool:
        """The value; ValueError if it is neither."""
        if not isinstance(value, bool):
            raise ValueError
        return value


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Several numbers: a list in a file, separated by commas in a flag.

    Args:
        each: the kind of each of them.
        count: how many there are; None for any number of them.
        ascending: none of them may be smaller than the one before it.
    """

    each: Number
    count: int | None = None
    ascending: bool = False

    @property
    def valid(self) -> str:
        """What is valid, in words."""
        order = ", in ascending order" if self.ascending else ""
        return f"a list of {self.count or 'numbers'}, each {self.each.valid}{order}"

    def parse(self, text: str) -> tuple:
        """The numbers between the commas, with or without brackets; ValueError for anything else."""
        inner = text[1:-1] if text[:1] + text[-1:] in ("()", "[]") else text
        parts = [part.strip() for part in inner.removesuffix(",").split(",")]
        return tuple(self.each.parse(part) for part in parts) if inner.strip() else ()

    def convert(self, value: object) -> tuple:
        """A tuple; ValueError if it does not hold so many numbers."""
        if not isinstance(value, list | tuple) or self.count not in (None, len(value)):
            raise ValueError
        numbers = tuple(self.each.convert(number) for number in value)
        if self.ascending and list(numbers) != sorted(numbers):
            raise ValueError
        return numbers


@dataclasses.dataclass(frozen=True)
class Optional:
    """A value of a kind, or None, which flags and files write as "none".

    Args:
        kind: of the value that is not None.
    """

    kind: "Number | Choice | Text | Texts | Switch | Numbers"

    @property
    def valid(self) -> str:
        """What is valid, in words."""
        return f"{self.kind.valid}, or none"

    def parse(self, text: str) -> Any:
        """None for "none"."""
        return None if text.lower() == "none" else self.kind.parse(text)

    def convert(self, value: object) -> Any:
        """The value in its own type; ValueError if it is not of this kind."""
        return None if value in (None, "none") else self.kind.convert(value)


Kind = Number | Choice | Text | Texts | Switch | Numbers | Optional


@dataclasses.dataclass(frozen=True)
class Setting:
    """A named value that a user can set.

    Args:
        help: what it means, in a few words.
        kind: what is valid.
    """

    help: str
    kind: Kind


def setting(help_: str, kind: Kind, default: object = dataclasses.MISSING) -> Any:
    """A field of a dataclass that is a setting.

    Args:
        help_: what it is, in a line of a command's help.
        kind: what is valid.
        default: its value if none is given; without a default one must be given.
    """
    return dataclasses.field(default=default, metadata={"help": help_, "kind": kind})


def convert_value(key: str, kind: Kind, value: object) -> Any:
    """The value of a setting in its own type.

    Raises:
        UserError: it is not of this kind.
    """
    try:
        return kind.convert(value)
    except ValueError:
        raise _refusal(key, kind, value) from None


def convert_fields(settings: Any) -> None:
    """Check every setting of a new dataclass, frozen or not, and give it its own type.

    Raises:
        UserError: a value that is not of its field's kind.
    """
    for field in dataclasses.fields(settings):
        value = convert_value(field.name, field.metadata["kind"], getattr(settings, field.name))
        object.__setattr__(settings, field.name, value)


def parse_value(key: str, kind: Kind, text: str) -> Any:
    """The value that a text on the command line stands for.

    Args:
        key: name of the setting, for the message.

    Raises:
        UserError: the text stands for no value of this kind.
    """
    try:
        value = kind.parse(text)
    except ValueError:
        raise _refusal(key, kind, text) from None
    return convert_value(key, kind, value)


def wanted(kind: Kind, value: object) -> str:
    """What is valid in place of a value that is not; the largest whole number is named where it matters."""
    is_large = (value > LARGEST) if isinstance(value, int) else len(str(value)) > 9
    has_end = not ("whole number" in kind.valid and " up" in kind.valid)
    return kind.valid if has_end or not is_large else f"{kind.valid}, at most {LARGEST}"


def _refusal(key: str, kind: Kind, value: object) -> UserError:
    return UserError(f"{key} must be {wanted(kind, value)}. Received: {_SHORT.repr(value)}.")


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError as error:  # an integer beyond the largest float
        raise ValueError from error


def _shown(value: str | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
