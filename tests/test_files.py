"""Files that cannot be read, and JSON that does not fit, are refused in one sentence."""

import dataclasses
import json
import os
from typing import Annotated, Any

import msgspec
import pytest

from bnn_keras import files
from bnn_keras.errors import UserError
from bnn_keras.json_file import read_json


@dataclasses.dataclass(frozen=True)
class Settings:
    name: str
    epochs: Annotated[int, msgspec.Meta(ge=1, le=100)]
    sizes: tuple[int, ...] = ()
    more: dict[str, Any] = dataclasses.field(default_factory=dict)


def read(path, content):
    path.write_bytes(content)
    return read_json(path, Settings, "the settings of a test")


def test_json_that_fits_is_read(tmp_path):
    whole = {"name": "ä", "epochs": 3, "sizes": [1, 2], "more": {"a": [None, 1.5]}, "unknown": 1}
    settings = read(tmp_path / "a.json", json.dumps(whole).encode())
    assert settings == Settings("ä", 3, (1, 2), {"a": [None, 1.5]})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"null", "does not hold the settings of a test: Expected object, got null."),
        (b"[1]", "Expected object, got array."),
        (b"3", "Expected object, got int."),
        (b'{"name": "a"}', "Object missing required field epochs."),
        (b'{"name": "a", "epochs": "3"}', "Expected int, got str at epochs."),
        (b'{"name": "a", "epochs": 101}', "Expected int <= 100 at epochs."),
        (b'{"name": "a", "epochs": 3, "sizes": [1, null]}', "Expected int, got null at sizes[1]."),
        (b'{"name": "a", "epochs": 3, "more": {"b": 1e999}}', "Number out of range"),
        (b"", "is not a whole JSON file"),
        (b'{"name": "a", "epochs": 3', "is not a whole JSON file"),
        (b'{"name": "\xff", "epochs": 3}', "is not a whole JSON file"),
        (b'{"name": "a", "epochs": 3, "more": ' + b"[" * 100_000, "does not hold|is not a whole JSON file"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is not a whole JSON file"),
    ],
)
def test_json_that_does_not_fit_is_a_sentence(tmp_path, content, reason):
    with pytest.raises(UserError, match=reason.replace("[", r"\[")) as error:
        read(tmp_path / "a.json", content)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_a_path_that_cannot_be_read_is_a_sentence(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "text").write_text("12345")
    for path, reason in {
        tmp_path / "pipe": "not a regular file",
        tmp_path: "not a regular file|Is a directory",
        tmp_path / "none": "No such file",
        tmp_path / "loop": "symbolic links",
        tmp_path / ("n" * 300): "name too long",
        tmp_path / "text" / "inside": "Not a directory",
        "/dev/zero": "not a regular file",
        "nul\0l": "null",
        tmp_path / "text": "at most 4 bytes",
    }.items():
        with pytest.raises(UserError, match=reason):
            files.read_bytes(path, 4)
    assert files.read_bytes(tmp_path / "text", 5) == b"12345"
