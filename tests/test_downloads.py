"""Downloads from a local server: whole, interrupted, resumed, refused, and where there is no room."""

import contextlib
import hashlib
import io
import os
import sys
import threading

import numpy as np
import pytest

from bnn_keras import downloads
from bnn_keras.errors import UserError
from tests.file_server import serving

CONTENT = np.random.default_rng(0).bytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def served():
    with serving(CONTENT) as served:
        yield served


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "file.h5"


def fetch(served, path, sha256=SHA256):
    return downloads.fetch("the file", served.address, sha256, path)


def refused(served, path, *words, **options):
    """The sentence with which a download is refused, which names where to put the file."""
    with pytest.raises(UserError) as error:
        fetch(served, path, **options)
    sentence = str(error.value)
    assert sentence.endswith(".") and "\n" not in sentence
    assert all(word in sentence for word in words), sentence
    return sentence


def test_a_file_is_downloaded_once(served, path, capsys):
    assert fetch(served, path) == path and path.read_bytes() == CONTENT
    assert capsys.readouterr().err == f"downloading the file from {served.address}\n"
    assert fetch(served, path) == path and served.asked == [None]
    assert [file.name for file in path.parent.iterdir()] == ["file.h5"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_progress_bar_that_goes_on_where_it_ended(served, path, monkeypatch):
    served.stops_after = 60_000
    for begun in ("0%", "60%"):
        monkeypatch.setattr(sys, "stderr", Terminal())
        with contextlib.suppress(UserError):
            fetch(served, path)
        bar = sys.stderr.getvalue().split("\r")
        assert bar[1].startswith(f"the file: {begun:>4}|") and "/100k [" in bar[1]
    assert "100%" in bar[-1]


def test_an_interrupted_download_is_resumed(served, path):
    served.stops_after = 60_000
    refused(served, path, "after 60,000 of 100,000 bytes", "the same command goes on", f"to {path}")
    assert not path.exists() and path.with_name("file.h5.part").read_bytes() == CONTENT[:60_000]
    served.stops_after = None
    fetch(served, path)
    assert path.read_bytes() == CONTENT and served.asked == [None, "bytes=60000-"]
    assert [file.name for file in path.parent.iterdir()] == ["file.h5"]


def test_a_server_that_knows_no_ranges_gives_the_whole_file(served, path):
    path.parent.mkdir()
    path.with_name("file.h5.part").write_bytes(CONTENT[:10])
    served.knows_ranges = False
    assert fetch(served, path).read_bytes() == CONTENT and served.asked == ["bytes=10-"]


def test_a_beginning_that_is_longer_than_the_file_is_dropped(served, path):
    path.parent.mkdir()
    path.with_name("file.h5.part").write_bytes(CONTENT + b"more")
    assert fetch(served, path).read_bytes() == CONTENT and served.asked == ["bytes=100004-", None]


def test_a_server_that_tells_no_length(served, path):
    served.tells_length = False
    assert fetch(served, path).read_bytes() == CONTENT


def test_a_file_with_another_digest_is_not_kept(served, path):
    refused(
        served,
        path,
        f"{served.address} gives another file",
        f"to {path}",
        SHA256[::-1][:12],
        sha256=SHA256[::-1],
    )
    assert not list(path.parent.iterdir())


def test_a_file_that_was_put_there_is_checked(served, path):
    path.parent.mkdir()
    path.write_bytes(b"something else")
    refused(served, path, f"{path} is not the file", "remove it")
    path.write_bytes(CONTENT)
    assert fetch(served, path) == path and served.asked == []


@pytest.mark.parametrize("status", [404, 416, 500])
def test_an_error_of_the_server(served, path, status):
    served.status = status
    refused(served, path, f"HTTP {status}: ", f"download {served.address} by hand to {path}")
    assert not list(path.parent.iterdir())


def test_no_network(path):
    with serving(CONTENT) as served:
        pass  # now nobody listens on its port
    refused(served, path, "(Connection refused)", f"download {served.address} by hand to {path}")
    served.address = "http://host.invalid/file.h5"
    refused(served, path, "Cannot download the file (", f"download {served.address} by hand to {path}")


def test_a_server_that_falls_silent(served, path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.1)
    woken = threading.Event()
    served.asked = type("Slow", (list,), {"append": lambda self, _: woken.wait(5)})()
    refused(served, path, "timed out", f"to {path}")
    woken.set()


@pytest.mark.parametrize("tells_length", [True, False])
def test_no_room_in_the_cache(served, small_disk, tells_length):
    served.tells_length = tells_length
    path = small_disk(64) / "cache" / "file.h5"
    with pytest.raises(UserError, match=r"no room for 0\.1 MiB in .*BNN_KERAS|no space left on the device"):
        fetch(served, path)
    assert not list(path.parent.iterdir())
    small_disk(1024, again=True)
    assert fetch(served, path).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made(served, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write"):
        fetch(served, tmp_path / "file" / "weights" / "file.h5")


def test_of_two_processes_one_downloads(served, path):
    child = os.fork()
    if not child:
        try:
            fetch(served, path)
        finally:
            os._exit(0)
    fetch(served, path)
    os.waitpid(child, 0)
    assert path.read_bytes() == CONTENT and served.asked == [None]
