"""Values that programs stumble over, and random changes of bytes and JSON trees."""

import json
import os
from random import Random

NUMBERS = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "1.5",
        "-0",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "5e-324",
        "0x10",
        "1_000",
        "٣",
        "²",
        "½",
    ),
    *(" ", "", "None", "none", "True", "1,2", "(1, 2)", "[1", "((((", "9" * 400, "1e", "--1", "+1", "1 2"),
    *(str(2**31 - 1), str(2**31), str(2**32), str(2**63 - 1), str(2**63), str(10**25), "1" + "0" * 5000),
)
WORDS = (
    *(
        "",
        " ",
        "\n",
        "a\nb",
        "%s%n%d",
        "{}",
        "{0.__class__}",
        "\\",
        "'",
        '"',
        "-",
        "--",
        "=",
        "a=b",
        ",",
        ",,",
    ),
    *("ä", "٣", "\u202e", "\x1b[31m", "\x7f", "x" * 300, "x" * 5000, "folder:", "folder:.", "folder:images"),
    *(
        "folder:/dev",
        "digits",
        "samples",
        "meliusnet22",
        "bnext",
        "None",
        "none",
        "True",
        "os.system",
        "a.b.c",
    ),
    *(
        "stem=conv7x7",
        "blocks=abc",
        "blocks=()",
        "blocks=(0,)",
        "channels=5",
        "stem_pool=-1",
        "classes=3",
        "=1",
    ),
    *(
        "[1,2",
        "{'a': 1}",
        "__import__('os')",
        "localhost:²",
        "a..b:5050",
        "http://[::1",
        "x:99999",
        ":1",
        "h:",
    ),
    *("rand-m9-n2", "rand-m99999-n9999999", "rand-", "name=tiny.keras", "tiny.keras,tiny.keras"),
    os.fsdecode(b"\xff\xfe"),
)
PATHS = (
    *(
        "missing",
        ".",
        "..",
        "/",
        "~nobody",
        "~nobody/x",
        "~",
        "/dev/zero",
        "/dev/stdin",
        "pipe",
        "circle",
        "images",
    ),
    *(
        "images/cats",
        "images/cats/0.png",
        "tiny.keras",
        "tiny.keras/x",
        "tiny.tflite",
        "run",
        "run/config.json",
    ),
    *(
        "x" * 300,
        "x/" * 3000,
        "x.keras",
        "x.tflite",
        "x.weights.h5",
        "x.toml",
        "x.pth",
        "a\nb.keras",
        "%s.keras",
    ),
    *("/proc/self/mem", "/proc/1/root/x", os.fsdecode(b"\xff.keras"), "", " "),
)
# Where a file may be asked for: nothing that exists outside of the case's folder.
OUTPUTS = (
    *(
        "out",
        "out.png",
        "out.tflite",
        "out/out.tflite",
        "out.json",
        "images",
        "tiny.keras/x.png",
        "pipe",
        "circle/x",
    ),
    *("/proc/x.png", "/sys/x.tflite", "x" * 300, "x/" * 3000, "", ".", "a\nb.png", "%s.png", "~nobody/x.png"),
    os.fsdecode(b"\xff.png"),
)
JSON = (
    *(None, True, False, -1, 0, 1, 2, 1.5, 2**31, 2**63, 2**64, 10**25, 1e308, float("nan"), float("inf")),
    *("", "\0", "a\nb", "\ud800", "x" * 5000, "%s", "1", "float16", "relu", "same", "../x", "/dev/zero"),
    *(
        [],
        {},
        [[]],
        [None],
        [0] * 300,
        [-1, -1],
        [1, 2, 3],
        {"": None},
        {"class_name": "Dense", "config": {}},
    ),
)
BYTES = (
    b"\0",
    b"\xff" * 4,
    b"\xff" * 8,
    b"\0" * 8,
    b"\x7f" + b"\xff" * 7,
    b"\x00\x00\x00\x80",
    b"\n",
    b"\x01",
)


def change_bytes(rng: Random, content: bytes, most: int = 6) -> bytes:
    """Flip, overwrite, insert, remove, repeat, zero and cut bytes."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, most)):
        place = rng.randrange(len(changed) + 1)
        size = rng.choice((1, 2, 4, 8, 16, 100, 1000))
        what = rng.randrange(7)
        if what == 0 and place < len(changed):
            changed[place] ^= 1 << rng.randrange(8)
        elif what == 1:
            value = rng.choice(BYTES)
            changed[place : place + len(value)] = value
        elif what == 2:
            changed[place:place] = rng.randbytes(size)
        elif what == 3:
            del changed[place : place + size]
        elif what == 4:
            changed[place:place] = changed[place : place + size]
        elif what == 5:
            changed[place : place + size] = bytes(len(changed[place : place + size]))
        elif rng.random() < 0.3:
            del changed[place:]
    return bytes(changed)


def change_json(rng: Random, content: bytes) -> bytes:
    """Replace, remove, copy and rename parts of a JSON tree; sometimes change its bytes."""
    if rng.random() < 0.1:
        return change_bytes(rng, content)
    if rng.random() < 0.05:
        return rng.choice((b"", b"null", b"[]", b"3", b'"x"', b"{}", b"[" * 200_000, b"\xff", b"{" + content))
    tree = {"": json.loads(content)}
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change_tree(rng, tree)
    return json.dumps(tree.get("", tree)).encode()


def _change_tree(rng: Random, tree: dict) -> None:
    places = [(holder, key) for holder in _holders(tree) for key in _keys(holder)]
    if not places:
        return
    holder, key = rng.choice(places)
    other, other_key = rng.choice(places)
    what = rng.randrange(6)
    if what <= 1:
        holder[key] = rng.choice(JSON)
    elif what == 2:
        del holder[key]
    elif what == 3:
        holder[key] = json.loads(json.dumps(other[other_key]))
    elif isinstance(holder, dict):
        holder[rng.choice((str(other_key), "x", "", "class_name"))] = holder.pop(key)
    elif what == 4:
        holder.append(holder[key])
    else:
        rng.shuffle(holder)


def _holders(tree: dict | list) -> list:
    inner = tree.values() if isinstance(tree, dict) else tree
    return [tree, *(found for item in inner if isinstance(item, (dict, list)) for found in _holders(item))]


def _keys(holder: dict | list) -> list:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))
