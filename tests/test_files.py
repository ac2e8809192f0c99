"""Files that cannot be read, and JSON that does not fit, are refused in one sentence."""

import dataclasses
import json
import os
import time
from pathlib import Path
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
        (b'{"\\ud800": 1, "name": "a", "epochs": 3}', "surrogates not allowed"),
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


def test_names_that_are_not_utf8_go_through_json(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    assert read(tmp_path / "a.json", json.dumps({"name": name, "epochs": 1}).encode()).name == name


def test_printable_texts_are_one_line():
    assert files.printable("café 字\u3000") == "café 字\u3000"
    assert files.printable(os.fsdecode(b"caf\xe9\n\xff") + "\ud800\u2028\x1b") == (
        r"caf\xe9\n\xff\ud800\u2028\x1b"
    )
    with pytest.raises(UserError, match="no null characters"), files.replacing("a\0b"):
        pass


@pytest.mark.parametrize("name", [".", "", "/"])
def test_a_folder_is_not_written_as_a_file(name):
    with pytest.raises(UserError, match="^Cannot write .*: Is a directory"), files.replacing(name):
        pass


def test_errors_of_reading_name_the_file(tmp_path):
    inner = f"^Cannot read {tmp_path}/inner: No such file or directory.$"
    with pytest.raises(UserError, match=inner), files.reading(tmp_path):
        os.stat(tmp_path / "inner")
    with pytest.raises(UserError, match="^Cannot read outer: Input/output error.$"), files.reading("outer"):
        raise OSError(5, "Input/output error")


def test_partial_files_are_left_over_when_their_process_is_gone(tmp_path):
    with files.replacing(tmp_path / "a.b.txt") as partial:
        partial.touch()
        assert files.is_partial(partial) and files.is_left_over(partial)  # of this process
    others = {os.getppid(): False, 2**22 + 1: True}  # the latter is beyond the largest number of a process
    for number, left_over in others.items():
        for suffix in ("", ".keras"):
            name = Path(f".model.{number}.partial{suffix}")
            assert files.is_partial(name) and files.is_left_over(name) == left_over
    assert not files.is_partial(Path("model.3.partial")) and not files.is_left_over(Path(".partial.keras"))


def test_a_locked_folder_lets_one_process_in(tmp_path):
    folder, order = tmp_path / "new", tmp_path / "order"
    with files.locked(folder):
        child = os.fork()
        if not child:
            with files.locked(folder), open(order, "a") as file:
                file.write("child ")
            os._exit(0)
        time.sleep(0.2)
        order.write_text("parent ")
    os.waitpid(child, 0)
    assert order.read_text() == "parent child " and not list(folder.iterdir())


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


def test_a_file_that_cannot_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "text").touch()
    for path, reason in {
        tmp_path: "Is a directory",
        tmp_path / "text" / "inside": "Not a directory",
        tmp_path / ("n" * 300): "name too long",
        tmp_path / ("n/" * 3000): "name too long",
        "nul\0l": "null",
    }.items():
        with pytest.raises(UserError, match=f"^Cannot write (.|\n)*{reason}"):
            files.check_writable(path)
    for path in (tmp_path / "text", tmp_path / "new" / "folder" / "text"):
        files.check_writable(path)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    place = tmp_path / "deep" / "folder"

    def write(text):
        with files.replacing_folder(place) as temporary:
            (temporary / "in").mkdir()
            (temporary / "in" / f"{text}.txt").write_text(text)
            if text == "bad":
                raise RuntimeError

    def found():
        return [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")]

    write("one")
    write("two")
    assert found() == ["deep/folder/in/two.txt"]
    with pytest.raises(RuntimeError):
        write("bad")
    assert found() == ["deep/folder/in/two.txt"]
    replace = os.replace

    def fails_once(source, target):
        if "new" in str(source):
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails_once)
    with pytest.raises(UserError, match="Cannot write .*folder: Input/output error"):
        write("three")
    assert found() == ["deep/folder/in/two.txt"]


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"Cannot write .*file/folder"),
        files.replacing_folder(tmp_path / "file" / "folder"),
    ):
        pass
