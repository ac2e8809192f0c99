"""Reading and writing files: written whole or not at all, and a failure is a `UserError` of one sentence."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bnn_keras.errors import UserError

_PARTIAL = re.compile(r"\..*\.(\d+)\.partial(\..*)?", re.DOTALL)  # the number is the process's
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


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
    with writing(path):
        if not path.name:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # The same suffix, by which Keras chooses the file format.
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Write a folder under a temporary name, which replaces `path` at the end.

    If the block raises, the old folder stays and the temporary one is removed.

    Args:
        path: of the folder; what is in it is removed. The folder around it is created.

    Yields:
        The temporary folder, which is empty.

    Raises:
        UserError: the folder cannot be written.
    """
    path = Path(path).resolve()  # of a link the folder that it leads to
    with writing(path):
        temporary, old = (
            path.with_name(f".{path.name}.{end}.{os.getpid()}.partial") for end in ("new", "old")
        )
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in filter(Path.is_file, temporary.rglob("*")):
                with open(file, "rb") as opened:
                    os.fsync(opened.fileno())
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, old)
            try:
                os.replace(temporary, path)
            except OSError:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(old, path)
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def is_partial(path: Path) -> bool:
    """Whether this is a temporary file of `replacing`."""
    return _PARTIAL.fullmatch(path.name) is not None


def is_left_over(path: Path) -> bool:
    """Whether this is a temporary file of `replacing` that no other process is writing."""
    match = _PARTIAL.fullmatch(path.name)
    return match is not None and not (Path("/proc", match[1]).exists() and match[1] != str(os.getpid()))


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Turn an error of the operating system while `path` is written into a `UserError`."""
    if "\0" in os.fspath(path):
        raise UserError(f"Cannot write {os.fspath(path)!r}: a path has no null characters.")
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
    return f"no space left on the device ({shutil.disk_usage(_existing(path)).free / 2**20:.1f} MiB free)"


def _existing(path: Path) -> Path:
    """The innermost folder around a path that exists."""
    return next(parent for parent in path.absolute().parents if os.path.exists(parent))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time into the block, of all that lock this folder; the others wait.

    A file system without such locks, such as NFS, lets all of them in.

    Raises:
        UserError: the folder cannot be created.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked process may have the descriptor too
        os.close(descriptor)


@contextlib.contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """Turn an error of the operating system while `path` or what is in it is read into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise unusable(error, path) from error


def unusable(error: OSError, path: str | os.PathLike) -> UserError:
    """The sentence for an error of the operating system; the error names the path better if it does."""
    if isinstance(error.filename, str | bytes):
        path = os.fsdecode(error.filename)
    return UserError(f"Cannot read {path}: {error.strerror or error}.")


def printable(text: str) -> str:
    """The text in one line: an escape for each control character, and for each byte that is no UTF-8.

    The names of files can have both.
    """
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    is_byte = "\udc80" <= match[0] <= "\udcff"  # that Python could not decode
    return f"\\x{ord(match[0]) - 0xDC00:02x}" if is_byte else repr(match[0])[1:-1]


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
        size = os.fstat(file.fileno()).st_size
        if size > at_most:
            raise UserError(f"{path} is too large: such a file has at most {at_most:,} bytes.")
        return file.read(size)  # memory is taken for so many bytes at once


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
    with writing(path):
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(path).st_mode):  # raises for a name that is too long
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=_existing(Path(path))).close()


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a small text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
