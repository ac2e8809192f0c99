"""The zip archives of .keras files: what one promises is checked before anything is unpacked."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import BinaryIO

from bnn_keras.errors import UserError

IS_ENCRYPTED = 0x1  # a flag of a member
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, KeyError)


def read_members(file: BinaryIO, path: str | os.PathLike, at_most: Mapping[str, int]) -> dict[str, bytes]:
    """Read the members of an archive, each of which has to be known.

    Args:
        file: the open archive.
        path: of the archive, for the messages.
        at_most: the names of all members that it may have, with the largest size of each in bytes.

    Raises:
        UserError: it is no archive, is damaged, or has a member that is unknown, too large, encrypted, or
            there twice.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                _check(member, path, at_most)
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise UserError(f"{path} is refused: it has a member twice.")
            return {name: archive.read(name) for name in names}
    except UserError:
        raise
    except DAMAGES as error:
        raise UserError(f"{path} is not a whole .keras file: {_first_line(error)}.") from error


def _check(member: zipfile.ZipInfo, path: str | os.PathLike, at_most: Mapping[str, int]) -> None:
    name = member.filename
    if name not in at_most:
        raise UserError(f"{path} is refused: it holds {name!r}; expected are {', '.join(at_most)}.")
    if member.file_size > at_most[name]:
        raise UserError(
            f"{path} is refused: {name} in it is to be unpacked to {member.file_size:,} bytes, more than the "
            f"{at_most[name]:,} that it can have."
        )
    if member.flag_bits & IS_ENCRYPTED or member.compress_type not in METHODS:
        raise UserError(f"{path} is refused: {name} in it is encrypted or packed in an unusual way.")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
