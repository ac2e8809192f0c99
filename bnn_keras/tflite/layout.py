"""The bytes of a .tflite file from a stranger: every table, vector and name has to lie within the file.

FlatBuffers has a verifier for C++ and none for Python. Without one, an offset that leaves the file ends
the process, or reads what is not the file's.
"""

import struct
from collections.abc import Sequence
from typing import Any

from bnn_keras.tflite.flatbuffer import OPTION_NAMES
from bnn_keras.tflite.operations import OPTION_TABLES, OPTIONS, TABLES

NUMBERS = {
    "bool": "<?",
    "i8": "<b",
    "u8": "<B",
    "i32": "<i",
    "u32": "<I",
    "f32": "<f",
    "i64": "<q",
    "u64": "<Q",
}
OFFSET = "<I"
# How often all bytes of a file may be referred to on average. A converter writes each table once; tables
# that refer to the same bytes again and again could take hours to read.
REFERENCES = 8


class DamagedError(ValueError):
    """A sentence about what is wrong with a file, after the file's name."""


class Layout:
    """The bytes of a file as tables.

    Args:
        content: the file's bytes.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._left = REFERENCES * len(content)  # bytes that tables may still refer to

    def check(self) -> None:
        """Check the outermost table, and everything that it refers to.

        Raises:
            DamagedError: something does not lie within the file, or is not of the schema.
        """
        self._check_target(0, "Model")

    def _number(self, form: str, place: int) -> Any:
        size = struct.calcsize(form)
        if place < 0 or place + size > len(self.content):
            raise DamagedError("is cut off, or refers to bytes outside of itself")
        if place % size:
            raise DamagedError("has a number that is not aligned")
        return struct.unpack_from(form, self.content, place)[0]

    def _claim(self, place: int, size: int) -> None:
        self._left -= size
        if place < 0 or place + size > len(self.content):
            raise DamagedError("is cut off, or refers to bytes outside of itself")
        if self._left < 0:
            raise DamagedError("has tables that refer to the same bytes again and again")

    def _check_target(self, place: int, kind: str) -> None:
        """Check what the offset at `place` refers to."""
        target = place + self._number(OFFSET, place)
        if kind.startswith("["):
            self._check_vector(target, kind[1:-1])
        elif kind == "string":
            self._check_text(target)
        else:
            self._check_table(target, (TABLES | OPTIONS).get(kind, "").split())

    def _check_vector(self, place: int, kind: str) -> None:
        length = self._number(OFFSET, place)
        self._claim(place, 4 + length * struct.calcsize(NUMBERS.get(kind, OFFSET)))
        if kind == "refused" and length:
            raise DamagedError("has tensors that are not arrays")
        if kind not in NUMBERS:
            for i in range(length):
                self._check_target(place + 4 + 4 * i, kind)

    def _check_text(self, place: int) -> None:
        length = self._number(OFFSET, place)
        self._claim(place, 4 + length + 1)
        text = self.content[place + 4 : place + 4 + length + 1]
        try:
            is_text = text[:-1].decode().isprintable() and text[-1] == 0
        except UnicodeDecodeError:
            is_text = False
        if not is_text:
            raise DamagedError("has a name that is not printable text")

    def _check_table(self, place: int, kinds: Sequence[str]) -> None:
        fields = place - self._number("<i", place)
        fields_size, size = self._number("<H", fields), self._number("<H", fields + 2)
        self._claim(fields, fields_size)
        self._claim(place, size)
        if fields_size < 4 or fields_size % 2 or size < 4:
            raise DamagedError("has a table whose size is wrong")
        before = 0  # the value of the field before, which is the type of a union
        for i, kind in enumerate(kinds[: (fields_size - 4) // 2]):
            offset = self._number("<H", fields + 4 + 2 * i)
            value = 0
            if offset:
                form = NUMBERS.get(kind, OFFSET)
                if offset < 4 or offset + struct.calcsize(form) > size:
                    raise DamagedError("has a table whose size is wrong")
                value = self._number(form, place + offset)
                self._check_field(place + offset, kind, before)
            before = value

    def _check_field(self, place: int, kind: str, before: int) -> None:
        if kind in NUMBERS or kind == "unused":
            return
        if kind == "refused":
            raise DamagedError("has sparse tensors, or options in a form that is not run here")
        if kind == "union":
            kind = OPTION_NAMES.get(before, "unknown options")
            if kind not in OPTION_TABLES:
                raise DamagedError(f"has {kind}, of an operation that is not run here")
        self._check_target(place, kind)
