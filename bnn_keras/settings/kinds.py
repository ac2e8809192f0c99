"""Kinds of values that a setting can have: checked, whether they come from a file or a flag."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from bnn_keras.errors import UserError


@dataclasses.dataclass(frozen=True)
class Number:
    """A finite number in an interval.

    Args:
        low, high: the ends.
        open_low, open_high: leave the end out.
        whole: only integers.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    whole: bool = False

    @property
    def valid(self) -> str:
        """What is valid, in words."""
        words = ["a whole number" if self.whole else "a number"]
        if self.low > -math.inf:
            words.append(f"{'above' if self.open_low else 'from'} {self.low:g}")
            words.append("up" if self.high == math.inf and not self.open_low else "")
        if self.high < math.inf:
            words.append(f"{'to below' if self.open_high else 'to'} {self.high:g}")
        return " ".join(filter(None, words))

    def parse(self, text: str):
        """The value that a flag's text means; ValueError if it means none."""
        return int(text) if self.whole else float(text)

    def convert(self, value: object):
        """The value in its own type; ValueError if it is none of this kind."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            raise ValueError
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        if not (math.isfinite(value) and above and below):
            raise ValueError
        return value if self.whole else float(value)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some names."""

    names: Sequence[str]

    @property
    def valid(self) -> str:
        """What is valid, in words."""
        return f"one of {', '.join(self.names)}"

    def parse(self, text: str) -> str:
        """The text itself."""
        return text

    def convert(self, value: object) -> str:
        """The name; ValueError if it is not one of them."""
        if value not in self.names or not isinstance(value, str):
            raise ValueError
        return value


@dataclasses.dataclass(frozen=True)
class Text:
    """Any text.

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
class Switch:
    """True or false."""

    valid = "true or false"

    def parse(self, text: str) -> bool:
        """True for "true", False for "false"; ValueError for any other text."""
        return {"true": True, "false": False}[text] if text in ("true", "false") else self.convert(text)

    def convert(self, value: object) -> bool:
        """The value; ValueError if it is neither."""
        if not isinstance(value, bool):
            raise ValueError
        return value


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Several numbers: a list in a file, commas between them in a flag.

    Args:
        each: what each of them is.
        count: how many; None for any number of them.
        ascending: whether none may be smaller than the one before it.
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
        """The numbers between the commas; ValueError if something else is there."""
        return tuple(self.each.parse(part) for part in text.split(",")) if text else ()

    def convert(self, value: object) -> tuple:
        """A tuple; ValueError if it is none of so many numbers."""
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

    kind: "Number | Choice | Text | Switch | Numbers"

    @property
    def valid(self) -> str:
        """What is valid, in words."""
        return f"{self.kind.valid}, or none"

    def parse(self, text: str):
        """None for "none"."""
        return None if text == "none" else self.kind.parse(text)

    def convert(self, value: object):
        """The value in its own type; ValueError if it is none of this kind."""
        return None if value in (None, "none") else self.kind.convert(value)


Kind = Number | Choice | Text | Switch | Numbers | Optional


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
        raise UserError(f"{key} must be {kind.valid}. Received: {value!r}.") from None


def convert_fields(settings: Any) -> None:
    """Check every setting of a new dataclass, frozen or not, and give it its own type.

    Raises:
        UserError: a value that is not of its field's kind.
    """
    for field in dataclasses.fields(settings):
        value = convert_value(field.name, field.metadata["kind"], getattr(settings, field.name))
        object.__setattr__(settings, field.name, value)
