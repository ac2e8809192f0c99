"""HDF5 files from strangers, read in Python: what the format's own library may not be trusted with.

libhdf5 opens other files that a file names, follows links in circles and loops for ever on some damaged
files. Read here is what Keras writes: groups, arrays of numbers, and attributes, in the form that HDF5
has had since version 1.6 and that h5py still writes. Everything else is refused.

Source: the HDF5 File Format Specification, version 3.0 (sections III and IV).
"""

import dataclasses
import os
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from bnn_keras.errors import UserError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
NOWHERE = 2**64 - 1  # the address of what is not stored
UNPACKED_AT_MOST = 20  # times the file's size
DEEPEST = 32  # groups in groups
HIGHEST_TREE = 16  # levels of a tree of addresses
LARGEST_RANK = 32

# Messages of an object header.
DATASPACE, LINK_INFO, DATATYPE, FILL_VALUE, LINK, EXTERNAL = 0x01, 0x02, 0x03, 0x05, 0x06, 0x07
LAYOUT, FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE = 0x08, 0x0B, 0x0C, 0x10, 0x11
REFUSED = {
    LINK_INFO: "links in a form that Keras does not write",
    LINK: "links in a form that Keras does not write",
    EXTERNAL: "an array whose values are in another file",
}
IS_SHARED = 0x2  # a flag of a message
COMPACT, CONTIGUOUS, CHUNKED = 0, 1, 2
DEFLATE, SHUFFLE = 1, 2
SOFT_LINK = 2
TEXT_ELSEWHERE = 0x19  # a type: texts of any length


class _DamagedError(ValueError):
    """What is wrong with a file."""


@dataclasses.dataclass(frozen=True)
class Group:
    """A group of arrays and of groups.

    Args:
        groups: by name.
        arrays: by name.
        attributes: by name, as arrays.
    """

    groups: dict[str, "Group"]
    arrays: dict[str, np.ndarray]
    attributes: dict[str, np.ndarray]

    def group(self, path: str) -> "Group":
        """The group at a path, names joined by slashes; KeyError if there is none."""
        name, _, rest = path.partition("/")
        return self.groups[name].group(rest) if rest else self.groups[name]

    def array(self, path: str) -> np.ndarray:
        """The array at a path; KeyError if there is none."""
        above, _, name = path.rpartition("/")
        return (self.group(above) if above else self).arrays[name]

    def all_arrays(self, prefix: str = "") -> dict[str, np.ndarray]:
        """Every array in the group and in its groups, by its path."""
        found = {f"{prefix}{name}": array for name, array in self.arrays.items()}
        for name, group in self.groups.items():
            found |= group.all_arrays(f"{prefix}{name}/")
        return found


def read_hdf5(content: bytes, path: str | os.PathLike) -> Group:
    """Read a whole file.

    Args:
        content: the file's bytes; arrays that are not packed are views of them.
        path: of the file, for the message.

    Raises:
        UserError: it is damaged, or holds something else than groups and arrays of numbers.
    """
    if not content.startswith(SIGNATURE):
        raise UserError(f"{path} is not a whole HDF5 file: it does not begin as one.")
    try:
        return _Reader(content).root()
    except _DamagedError as error:
        raise UserError(f"{path} is refused: it holds {error}.") from error
    except (struct.error, zlib.error, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise UserError(f"{path} is not a whole HDF5 file: {error}.") from error


@dataclasses.dataclass(frozen=True)
class _Message:
    kind: int
    start: int
    end: int


class _Reader:
    """Reads a file's structures, each at most once.

    Args:
        content: the file's bytes.
    """

    def __init__(self, content: bytes) -> None:
        self.content = memoryview(content)
        self.seen: set[int] = set()
        self.left = UNPACKED_AT_MOST * len(content)  # bytes that may still be unpacked
        self.texts: dict[int, dict[int, bytes]] = {}  # of the heaps, by their addresses

    def root(self) -> Group:
        """The file's outermost group."""
        version, offset_size, length_size = self._unpack("<B4xBB", 8)[0:3]
        if version > 1 or (offset_size, length_size) != (8, 8):
            raise _DamagedError("HDF5 in a form that Keras does not write")
        start = 24 if version == 0 else 28
        (base,) = self._unpack("<Q", start)
        (header,) = self._unpack("<Q", start + 32 + 8)
        if base != 0:
            raise _DamagedError("HDF5 that does not begin where the file begins")
        return self._group(self._messages(header), DEEPEST)

    # Bytes.

    def _bytes(self, start: int, size: int) -> memoryview:
        if start < 0 or size < 0 or start + size > len(self.content):
            raise ValueError("it ends in the middle of its data")
        return self.content[start : start + size]

    def _unpack(self, form: str, start: int) -> tuple:
        return struct.unpack(form, self._bytes(start, struct.calcsize(form)))

    def _once(self, start: int) -> None:
        """Refuse to read a structure twice: there would be no end to a circle."""
        if start in self.seen:
            raise _DamagedError("structures that are linked in a circle")
        self.seen.add(start)

    # Objects: groups and arrays.

    def _messages(self, start: int) -> list[_Message]:
        """The messages of an object header."""
        self._once(start)
        version, _, count, _, size = self._unpack("<BBHII", start)
        if version != 1:
            raise _DamagedError("HDF5 in a form that Keras does not write")
        blocks = [(start + 16, size)]
        messages: list[_Message] = []
        while blocks and len(messages) < count:
            place, size = blocks.pop(0)
            end = place + len(self._bytes(place, size))
            while place + 8 <= end and len(messages) < count:
                kind, size, flags = self._unpack("<HHB", place)
                message = _Message(kind, place + 8, place + 8 + size)
                if message.end > end:
                    raise ValueError("a header is longer than its block")
                if kind in REFUSED or (flags & IS_SHARED and kind in (DATASPACE, DATATYPE, FILTERS)):
                    raise _DamagedError(REFUSED.get(kind, "a type that several arrays share"))
                if kind == CONTINUATION:
                    blocks.append(self._unpack("<QQ", message.start))
                    self._once(blocks[-1][0])
                messages.append(message)
                place = message.end
        return messages

    def _group(self, messages: list[_Message], depth: int) -> Group:
        if depth == 0:
            raise _DamagedError(f"groups in more than {DEEPEST} groups")
        tree, heap = self._unpack("<QQ", _only(messages, SYMBOL_TABLE).start)
        found = Group({}, {}, self._attributes(messages))
        names = self._heap(heap)
        for node in self._leaves(tree, kind=0, key_size=8):
            for name, header in self._symbols(node, names):
                if name in found.groups or name in found.arrays:
                    raise _DamagedError(f"the name {name!r} twice")
                inner = self._messages(header)
                if any(message.kind == SYMBOL_TABLE for message in inner):
                    found.groups[name] = self._group(inner, depth - 1)
                else:
                    found.arrays[name] = self._array(inner)
        return found

    def _heap(self, start: int) -> memoryview:
        self._once(start)
        signature, size, _, data = self._unpack("<4s4xQQQ", start)
        if signature != b"HEAP":
            raise ValueError("a group has no names")
        return self._bytes(data, size)

    def _leaves(self, start: int, kind: int, key_size: int, below: int = HIGHEST_TREE) -> Iterator[int]:
        """The addresses of what a B-tree holds, from its leaves; for arrays those of the leaves' keys."""
        self._once(start)
        signature, found, level, entries = self._unpack("<4sBBH", start)
        if signature != b"TREE" or found != kind or level >= below:
            raise ValueError("a tree of addresses is damaged")
        for i in range(entries):
            key = start + 24 + i * (key_size + 8)
            (child,) = self._unpack("<Q", key + key_size)
            if level > 0:
                yield from self._leaves(child, kind, key_size, below=level)
            else:
                yield child if kind == 0 else key

    def _symbols(self, start: int, names: memoryview) -> Iterator[tuple[str, int]]:
        """The names and addresses in a node of a group."""
        self._once(start)
        signature, count = self._unpack("<4s2xH", start)
        if signature != b"SNOD":
            raise ValueError("a group is damaged")
        for i in range(count):
            offset, header, cache = self._unpack("<QQI", start + 8 + i * 40)
            if cache == SOFT_LINK or header == NOWHERE:
                raise _DamagedError("links to other places")
            name = bytes(names[offset : offset + 1024]).partition(b"\0")[0].decode()
            if not name or "/" in name or not name.isprintable():
                raise ValueError("a name is damaged")
            yield name, header

    # Arrays.

    def _array(self, messages: list[_Message]) -> np.ndarray:
        shape = self._shape(_only(messages, DATASPACE).start)
        kind = self._type(_only(messages, DATATYPE).start)
        if kind.kind == "S":
            raise _DamagedError("an array of texts")
        size = kind.itemsize * int(np.prod(shape, dtype=object))
        layout = _only(messages, LAYOUT)
        version, form = self._unpack("<BB", layout.start)
        if version != 3:
            raise _DamagedError("an array stored in a form that Keras does not write")
        if form == CHUNKED:
            self._spend(size)
            filters = [m for m in messages if m.kind == FILTERS]
            return self._chunks(layout.start + 2, shape, kind, self._filters(filters))
        # What is not packed is in the file once.
        self._spend(UNPACKED_AT_MOST * size)
        if form == COMPACT:
            start, stored = layout.start + 4, self._unpack("<H", layout.start + 2)[0]
        else:
            start, stored = self._unpack("<QQ", layout.start + 2)
        if form not in (COMPACT, CONTIGUOUS) or (size and (stored < size or start == NOWHERE)):
            raise _DamagedError("an array whose values are not in the file")
        return np.frombuffer(self._bytes(start, size) if size else b"", kind).reshape(shape)

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _DamagedError("arrays that are larger than the file")

    def _shape(self, start: int) -> tuple[int, ...]:
        version, rank, form = self._unpack("<BBxB", start)
        if version not in (1, 2) or rank > LARGEST_RANK or (version == 2 and form == 2):
            raise _DamagedError("an array without a shape")
        shape = self._unpack(f"<{rank}Q", start + (8 if version == 1 else 4))
        # It takes no bytes of the file, but whoever goes through its rows needs time.
        if 0 in shape and any(shape):
            raise _DamagedError("an array of empty rows")
        return shape

    def _type(self, start: int) -> np.dtype:
        """The type of an array's elements: plain numbers, or texts of a fixed length."""
        kind, bits, size = self._unpack("<BB2xI", start)
        order = ">" if bits & 1 else "<"
        if kind == 0x10 and size in (1, 2, 4, 8) and self._unpack("<HH", start + 8) == (0, 8 * size):
            return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}")
        if kind == 0x11 and self._unpack("<HHBBBBI", start + 8) == _IEEE.get(size):
            return np.dtype(f"{order}f{size}")
        if kind == 0x13 and 0 < size <= 2**16:
            return np.dtype(f"S{size}")
        raise _DamagedError("values that are neither numbers nor texts of a fixed length")

    def _filters(self, messages: list[_Message]) -> list[int]:
        """How the chunks of an array are packed, in the order in which they were."""
        if not messages:
            return []
        version, count = self._unpack("<BB", messages[0].start)
        place, found = messages[0].start + (8 if version == 1 else 2), []
        for _ in range(count):
            (filter_id,) = self._unpack("<H", place)
            has_name = version == 1 or filter_id >= 256
            name_size, _, values = self._unpack("<HHH" if has_name else "<0sHH", place + 2)
            name_size = name_size if has_name else 0
            if filter_id not in (DEFLATE, SHUFFLE) or filter_id in found:
                raise _DamagedError("an array that is packed in a form other than gzip")
            found.append(filter_id)
            place += (8 if has_name else 6) + name_size + 4 * (values + (values % 2 if version == 1 else 0))
        return found

    def _chunks(self, start: int, shape: tuple, kind: np.dtype, filters: list[int]) -> np.ndarray:
        (rank,) = self._unpack("<B", start)
        (tree,) = self._unpack("<Q", start + 1)
        *chunk, _ = self._unpack(f"<{rank}I", start + 9)
        if rank != len(shape) + 1 or not all(chunk):
            raise ValueError("the chunks of an array do not fit it")
        array = np.zeros(shape, kind)
        if tree == NOWHERE:
            return array
        size = kind.itemsize * int(np.prod(chunk, dtype=object))
        for key in self._leaves(tree, kind=1, key_size=8 + 8 * rank):
            stored, mask, *offsets = self._unpack(f"<II{rank}Q", key)
            (place,) = self._unpack("<Q", key + 8 + 8 * rank)
            if mask or any(offset >= edge for offset, edge in zip(offsets, shape, strict=False)):
                raise ValueError("the chunks of an array do not fit it")
            self._spend(size)
            values = _unpacked(self._bytes(place, stored), filters, size, kind)
            region = tuple(slice(o, o + c) for o, c in zip(offsets, chunk, strict=False))
            target = array[region]
            target[...] = values.reshape(chunk)[tuple(slice(edge) for edge in target.shape)]
        return array

    # Attributes.

    def _attributes(self, messages: list[_Message]) -> dict[str, np.ndarray]:
        return dict(self._attribute(message.start) for message in messages if message.kind == ATTRIBUTE)

    def _attribute(self, start: int) -> tuple[str, np.ndarray]:
        version, name_size, type_size, shape_size = self._unpack("<BxHHH", start)
        if version not in (1, 2, 3):
            raise ValueError("an attribute is damaged")
        place, parts = start + (9 if version == 3 else 8), []
        for size in (name_size, type_size, shape_size):
            parts.append(place)
            place += -(-size // 8) * 8 if version == 1 else size  # padded in the oldest form
        name = bytes(self._bytes(parts[0], name_size)).partition(b"\0")[0].decode()
        shape = self._shape(parts[2])
        number = int(np.prod(shape, dtype=object))
        if self._unpack("<B", parts[1])[0] == TEXT_ELSEWHERE:
            return name, np.array([self._text(place + 16 * i) for i in range(number)], object).reshape(shape)
        kind = self._type(parts[1])
        return name, np.frombuffer(self._bytes(place, number * kind.itemsize), kind).reshape(shape)

    def _text(self, start: int) -> str:
        """A text in one of the heaps that hold texts of any length."""
        size, heap, wanted = self._unpack("<IQI", start)
        if heap not in self.texts:
            self.texts[heap] = dict(self._heap_texts(heap))
        if wanted not in self.texts[heap]:
            raise ValueError("a text is missing")
        text = self.texts[heap][wanted][:size]
        self._spend(len(text))
        return text.decode()

    def _heap_texts(self, start: int) -> Iterator[tuple[int, bytes]]:
        """The texts in a heap, by their numbers."""
        signature, size = self._unpack("<4s4xQ", start)
        if signature != b"GCOL":
            raise ValueError("a heap of texts is damaged")
        self._spend(size)
        place, end = start + 16, start + len(self._bytes(start, size))
        while place + 16 <= end:
            index, stored = self._unpack("<H6xQ", place)
            if index == 0:  # the space that is left
                return
            yield index, bytes(self._bytes(place + 16, stored))
            place += 16 + -(-stored // 8) * 8


# Place of the first bit, number of bits, exponent and mantissa, and the exponent's bias, by size in bytes.
_IEEE = {
    2: (0, 16, 10, 5, 0, 10, 15),
    4: (0, 32, 23, 8, 0, 23, 127),
    8: (0, 64, 52, 11, 0, 52, 1023),
}


def _only(messages: list[_Message], kind: int) -> _Message:
    found = [message for message in messages if message.kind == kind]
    if len(found) != 1:
        raise ValueError("the header of a group or an array is damaged")
    return found[0]


def _unpacked(stored: memoryview, filters: list[int], size: int, kind: np.dtype) -> np.ndarray:
    """The values of a chunk of `size` bytes."""
    content = bytes(stored)
    for filter_id in reversed(filters):
        if filter_id == DEFLATE:
            content = zlib.decompressobj().decompress(content, size)
        else:
            content = np.frombuffer(content, np.uint8).reshape(kind.itemsize, -1).T.tobytes()
    return np.frombuffer(content, kind, count=size // kind.itemsize)
