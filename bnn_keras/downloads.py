"""Downloads: a file is whole and the right one, or it is not there; an interrupted download is resumed."""

import hashlib
import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from bnn_keras import cache, files
from bnn_keras.errors import UserError

CHUNK = 2**18  # bytes
TIMEOUT = 60.0  # seconds without an answer
PARTIAL = ".part"  # ends the name of a download that is not whole
HAS_NO_SUCH_BYTES = 416  # HTTP's answer if the file ends before the range that was asked for


def fetch(what: str, address: str, sha256: str, path: Path) -> Path:
    """Download a file, unless it is there already.

    An interrupted download leaves its beginning beside `path`, and the next one goes on after it. Of several
    processes one downloads, and the others wait.

    Args:
        what: the file in words, for messages.
        address: http or https.
        sha256: of the whole file, in hexadecimal digits.
        path: of the file; its folder is created.

    Returns:
        The path.

    Raises:
        UserError: the file cannot be downloaded, there is no room for it, or it is another file. The sentence
            names the address and the path, where the user can put the file.
    """
    with files.locked(path.parent):
        if path.exists():
            _check(path, sha256, f"{path} is not {what}, which {address} gives: remove it")
            return path
        partial = path.with_name(path.name + PARTIAL)
        print(f"downloading {what} from {address}", file=sys.stderr, flush=True)
        by_hand = f"download {address} by hand to {path}"
        try:
            with _open(address, partial) as answer:
                _keep(answer, partial, what, by_hand)
        except (OSError, http.client.HTTPException) as error:
            raise UserError(f"Cannot download {what} ({_reason(error)}): {by_hand}.") from error
        try:
            _check(
                partial, sha256, f"{address} gives another file than {what}, and nothing is kept: {by_hand}"
            )
        except UserError:
            partial.unlink()
            raise
        with files.writing(path):
            os.replace(partial, path)
    return path


def _open(address: str, partial: Path) -> http.client.HTTPResponse:
    """Ask for the file, or for the rest of it if its beginning is there."""
    start = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != HAS_NO_SUCH_BYTES or not start:
            raise
    partial.unlink()  # it is no beginning of this file
    return _open(address, partial)


def _keep(answer: http.client.HTTPResponse, partial: Path, what: str, by_hand: str) -> None:
    """Write what comes, with a progress bar on a terminal."""
    resumes = answer.status == http.HTTPStatus.PARTIAL_CONTENT
    start = partial.stat().st_size if resumes else 0
    length = answer.headers.get("Content-Length")
    total = start + int(length) if length and length.isdecimal() else None
    _check_room(partial.parent, (total or start) - start)
    with (
        files.writing(partial),
        open(partial, "ab" if resumes else "wb") as file,
        tqdm(desc=what, total=total, initial=start, unit="B", unit_scale=True, disable=None) as bar,
    ):
        try:
            for chunk in _chunks(answer, what, by_hand):
                file.write(chunk)
                bar.update(len(chunk))
            _flush(file)
        except OSError:  # it could not be written
            partial.unlink(missing_ok=True)
            raise
    size = partial.stat().st_size
    if total is not None and size < total:
        raise _interrupted(what, f"the connection ended after {size:,} of {total:,} bytes", by_hand)


def _chunks(answer: http.client.HTTPResponse, what: str, by_hand: str) -> Iterator[bytes]:
    """The bytes that come; an error of the network is told from one of the disk here."""
    while True:
        try:
            chunk = answer.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _interrupted(what, f"the connection ended: {_reason(error)}", by_hand) from error
        if not chunk:
            return
        yield chunk


def _interrupted(what: str, how: str, by_hand: str) -> UserError:
    return UserError(
        f"Cannot download {what} ({how}): the same command goes on where it ended, or {by_hand}."
    )


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UserError(
            f"There is no room for {size / 2**20:.1f} MiB in {folder} ({free / 2**20:.1f} MiB free): "
            f"{cache.VARIABLE} names another folder."
        )


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _check(path: Path, sha256: str, refusal: str) -> None:
    """Refuse a file with another digest."""
    digest = hashlib.sha256()
    with files.opening(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    found = digest.hexdigest()
    if found != sha256:
        raise UserError(
            f"{refusal} (its SHA-256 begins with {found[:12]}, that of the right file {sha256[:12]})."
        )


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}: {error.reason}"
    reason = getattr(error, "reason", error)  # of a URLError, often another exception
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
