"""What the first and the last bytes of an image file tell, without decoding it."""

import os
import struct
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

EDGE = 2**16  # bytes that are read at each end; EXIF is no longer than this
ORIENTATION = 0x0112  # the tag in EXIF

Format: TypeAlias = Literal["jpeg", "png", "bmp", "gif", "webp", "tiff"]
# Formats that Pillow decodes, because TensorFlow has no decoder for them.
BY_PILLOW = ("webp", "tiff")

_STARTS: dict[bytes, Format] = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",  # BigTIFF
    b"MM\0+": "tiff",
}
_EXIF = {"jpeg": b"Exif\0\0", "png": b"eXIf"}  # what precedes the data
_ENDS = {"jpeg": b"\xff\xd9", "png": b"IEND\xaeB`\x82", "gif": b";"}


class Header(NamedTuple):
    """What the ends of a file tell.

    Args:
        format: by its first bytes; None if it is none of `Format`.
        orientation: of the stored image, EXIF's number from 1 to 8.
        ends_well: whether the file ends as its format says. If not, it may be whole all the same: some
            phones add more after the end. TIFF has no end that could be checked.
    """

    format: Format | None
    orientation: int
    ends_well: bool


def read(file: BinaryIO) -> Header:
    """Read the header of an open file."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(EDGE)
    file.seek(max(len(head), size - EDGE))
    return of(head, file.read(EDGE), size)


def of(head: bytes, tail: bytes, size: int) -> Header:
    """The header of a file.

    Args:
        head, tail: bytes at its two ends, which do not overlap; if it is short, the tail is empty.
        size: of the whole file.
    """
    kind = format_of(head)
    if kind is None:
        return Header(None, 1, False)
    return Header(kind, _orientation(kind, head, tail), _ends_well(kind, head, tail or head, size))


def format_of(head: bytes) -> Format | None:
    """The format of the file that begins so."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((kind for start, kind in _STARTS.items() if head.startswith(start)), None)


def _ends_well(kind: Format, head: bytes, end: bytes, size: int) -> bool:
    if kind in _ENDS:
        return end.rstrip(b"\0").endswith(_ENDS[kind])
    if kind in ("bmp", "webp"):
        (stated,) = struct.unpack_from("<I", head.ljust(8, b"\0"), 2 if kind == "bmp" else 4)
        return stated + (8 if kind == "webp" else 0) == size
    return False


def _orientation(kind: Format, head: bytes, tail: bytes) -> int:
    """As it is stored; of WebP and TIFF 1, because Pillow turns them when it decodes them."""
    if kind not in _EXIF:
        return 1
    for part in (head, tail):
        _, found, exif = part.partition(_EXIF[kind])
        if found:
            return _orientation_in(exif)
    return 1


def _orientation_in(exif: bytes) -> int:
    """The orientation in EXIF data, which are laid out like a TIFF file; 1 if they have none or are damaged.

    Pillow's reader would have to read the whole file for this, and warns about what it does not understand.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for i in range(count):
            tag, _, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * i)
            if tag == ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
