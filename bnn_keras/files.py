"""Files appear whole or not at all."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bnn_keras.errors import UserError


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary name beside `path`; what was written there replaces `path` at the end.

    If anything goes wrong the old file stays and the temporary one is removed.

    Raises:
        UserError: the disk is full, read-only or not ours to write.
    """
    path = Path(path)
    # The suffix stays: Keras chooses the file format by it.
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
    """Turn the operating system's refusal to write `path` into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno is None and "errno" not in str(error):
            raise
        raise UserError(f"Cannot write {path}: {_reason(error, Path(path))}.") from error


def _reason(error: OSError, path: Path) -> str:
    # HDF5 wraps the number in its own text.
    full = error.errno == errno.ENOSPC or f"errno = {errno.ENOSPC}" in str(error)
    if not full:
        return error.strerror or str(error)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    return f"no space left on the device ({shutil.disk_usage(folder).free / 2**20:.1f} MiB free)"


def check_writable(path: str | os.PathLike) -> None:
    """Raise UserError if a file could not be written there: before long work, not behind it."""
    folder = next(parent for parent in Path(path).absolute().parents if parent.exists())
    with writing(path), tempfile.TemporaryFile(dir=folder):
        pass


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a small text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
