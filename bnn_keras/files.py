"""Reading and writing files: written whole or not at all, and a failure is a `UserError` of one sentence."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bnn_keras.errors import UserError


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file under a temporary name, which replaces `path` at the end.

    If the block raises, the old file stays and the temporary one is removed.

    Args:
        path: of the file; its folder is created.

    Yields:
        The temporary name, in the same folder and with the same suffix.

    Raises:
        UserError: the file cannot be written, for example because the disk is full.
    """
    path = Path(path)
    # The same suffix, by which Keras chooses the file format.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Turn an error of the operating system while `path` is written into a `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno is None and "errno" not in str(error):
            raise
        raise UserError(f"Cannot write {path}: {_reason(error, Path(path))}.") from error


def _reason(error: OSError, path: Path) -> str:
    # An error of HDF5 has the number only in its text.
    full = error.errno == errno.ENOSPC or f"errno = {errno.ENOSPC}" in str(error)
    if not full:
        return error.strerror or str(error)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    return f"no space left on the device ({shutil.disk_usage(folder).free / 2**20:.1f} MiB free)"


@contextlib.contextmanager
def opening(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a regular file to read its bytes.

    Raises:
        UserError: there is no such file, it may not be read, or it is a folder, a pipe or a device.
    """
    with contextlib.ExitStack() as stack:
        try:
            # Opening a pipe waits until another process writes to it.
            file = stack.enter_context(open(path, "rb", opener=_open_without_waiting))
        except (OSError, ValueError) as error:  # the latter for a null character in the path
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(f"Cannot read {path}: {reason}.") from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UserError(f"Cannot read {path}: it is not a regular file.")
        yield file


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def read_bytes(path: str | os.PathLike, at_most: int) -> bytes:
    """The content of a regular file.

    Args:
        path: of the file.
        at_most: the largest size in bytes that such a file can have.

    Raises:
        UserError: as `opening` does, or the file is larger.
    """
    with opening(path) as file:
        content = file.read(at_most + 1)
    if len(content) > at_most:
        raise UserError(f"{path} is too large: such a file has at most {at_most:,} bytes.")
    return content


def read_text(path: str | os.PathLike, at_most: int) -> str:
    """The content of a regular file of text.

    Args:
        path, at_most: as for `read_bytes`.

    Raises:
        UserError: as `read_bytes` does, or the content is not UTF-8.
    """
    try:
        return read_bytes(path, at_most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text in UTF-8: {error.reason} at byte {error.start}.") from error


def check_writable(path: str | os.PathLike) -> None:
    """Check that a file can be written, before work that takes long.

    Raises:
        UserError: it cannot.
    """
    folder = next(parent for parent in Path(path).absolute().parents if parent.exists())
    with writing(path), tempfile.TemporaryFile(dir=folder):
        pass


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a small text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
