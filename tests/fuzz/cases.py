"""The kinds of cases: functions that write files into the current folder and return a command line.

The current folder holds copies of the samples, a pipe and a link in a circle.
"""

import contextlib
import importlib.util
import io
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import h5py
import numpy as np

from bnn_keras.settings.recipe import KINDS as RECIPE_KEYS
from tests.fuzz.values import NUMBERS, OUTPUTS, PATHS, WORDS, change_bytes, change_json

IMAGE = "images/cats/0.png"
TO_FILES = {"output", "output_dir", "json", "csv", "picture", "logs", "cache_teacher"}
# What each verb is given so that it ends soon: no network of full size, no server, no long training.
STARTS = {
    "cost": ["tiny.tflite"],
    "convert": ["tiny.keras", "--dataset=samples", "--images=1", "--output=out.tflite"],
    "data-service": [],
    "demo": ["tiny.keras", "--dataset=samples", "--images=1", "--output_dir=out"],
    "evaluate": ["tiny.keras", "--dataset=folder:images", "--limit=2"],
    "launch": [],
    "predict": ["tiny.keras", IMAGE],
    "preview": ["--dataset=folder:images", "--images=1", "--epochs=1", "--output=out.png"],
    "quantize": ["run"],
    "report": ["flips", "run", "--output=out.png"],
    "search": [],
    "summary": ["tiny.keras"],
    "tables": [],
    "teachers": [],
    "train": [],
}
ENDS = {
    "data-service": ["--dispatcher=a..b:5050"],
    "demo": ["--litert_js=missing"],
    "launch": ["--workers=1", "--", "true"],
    "quantize": ["--epochs=0", "--limit=2", "--head_bits=8/8"],
    "search": ["--dataset=folder:missing"],
    "tables": ["--only=none"],
    "teachers": ["--student=none"],
    "train": ["--dataset=folder:missing"],
}


def flags(rng: Random) -> list[str]:
    """Any verb with values that its flags do not expect."""
    verb = rng.choice(sorted(STARTS))
    declared = importlib.import_module(f"bnn_keras.cli.{verb.replace('-', '_')}").FLAGS
    words = list(STARTS[verb])
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.15:
            words.insert(rng.randrange(len(words) + 1), _input(rng))
        elif declared and rng.random() < 0.95:
            words.append(_flag(rng, rng.choice(declared)))
        elif words:
            words.pop(rng.randrange(len(words)))
    return [verb, *words, *ENDS.get(verb, [])]


def _flag(rng: Random, flag) -> str:
    if flag.is_switch:
        return rng.choice((f"--{flag.name}", f"--no{flag.name}", f"--{flag.name}={rng.choice(WORDS)}"))
    pool = OUTPUTS if flag.name in TO_FILES else rng.choice((NUMBERS, NUMBERS, WORDS, PATHS))
    return f"--{flag.name}={rng.choice(pool)}"


def _input(rng: Random) -> str:
    return rng.choice(rng.choice((PATHS, WORDS, NUMBERS)))


def recipes(rng: Random) -> list[str]:
    """A TOML file with keys and values that do not fit, or that is none."""
    text = Path("recipe.toml").read_bytes()
    for _ in range(rng.randint(0, 3)):
        key = rng.choice((*RECIPE_KEYS, "extends", "", "a b", '"x"', "a.b", "[table]", "ä"))
        value = rng.choice(
            (*NUMBERS, *map(_quoted, (*WORDS, *PATHS)), "[1, [2]]", "{a = 1}", "1979-05-27", "true")
        )
        text += f"{key} = {value}\n".encode("utf-8", "surrogateescape")
    if rng.random() < 0.3:
        text = b"\n".join(rng.sample(text.split(b"\n"), rng.randint(1, 6)))
    if rng.random() < 0.3:
        text = change_bytes(rng, text)
    Path("recipe.toml").write_bytes(text)
    if rng.random() < 0.5:
        return ["train", "--recipe=recipe.toml", "--dataset=folder:missing"]
    return ["preview", "--recipe=recipe.toml", "--dataset=folder:missing", "--output=out.png"]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def folders(rng: Random) -> list[str]:
    """A folder of images with broken, strange and missing ones."""
    for _ in range(rng.randint(1, 4)):
        _change_folder(rng)
    name = os.fsdecode(rng.choice([b"images", b"images", b"images/cats", b"im\xffages"]))
    if name not in ("images", "images/cats"):
        os.rename("images", name)
    if rng.random() < 0.5:
        return ["evaluate", "tiny.keras", f"--dataset=folder:{name}", "--limit=4"]
    if rng.random() < 0.5:
        files = [name, *sorted(str(path) for path in Path(name).rglob("*"))]
        return [
            "predict",
            "tiny.keras",
            *rng.sample(files, min(len(files), 2)),
            "--json=a.json",
            "--csv=a.csv",
        ]
    return ["preview", f"--dataset=folder:{name}", "--images=1", "--epochs=1", "--output=out.png"]


def _change_folder(rng: Random) -> None:
    files = sorted(str(path) for path in Path("images").glob("*/*") if path.is_file())
    if not files:
        return
    image = Path(rng.choice(files))
    content = image.read_bytes()
    what = rng.randrange(9)
    if what <= 2:
        image.write_bytes(change_bytes(rng, content))
    elif what == 3:
        image.write_bytes(
            rng.choice((b"", b"text", content[:30], _large_picture(), b"GIF89a", b"BM", b"\xff\xd8"))
        )
    elif what == 4:
        image.unlink()
        rng.choice((lambda: os.mkfifo(image), lambda: image.symlink_to("0.png"), image.mkdir, lambda: None))()
    elif what == 5:
        name = rng.choice(
            (b"\xff.png", b"a\nb.png", b"%s.PNG", b"x.txt", b".png", b".hidden", 240 * b"x" + b".png")
        )
        os.rename(image, image.parent / os.fsdecode(name))
    elif what == 6:
        name = rng.choice(
            (b"\xfe\xff", b"a\nb", "ä ٣".encode(), b".hidden", b"-", b"a,b", b"\x1b[31m", 250 * b"x")
        )
        Path("images", os.fsdecode(name)).mkdir(exist_ok=True)
        (Path("images", os.fsdecode(name)) / "0.png").write_bytes(content)
    elif what == 7:
        Path("images", rng.choice(("note.txt", "train", "test", "val"))).mkdir(exist_ok=True)
    else:
        (image.parent / "loop").is_symlink() or (image.parent / "loop").symlink_to("..")


def _large_picture() -> bytes:
    """The header of a PNG file of 2^31 - 1 pixels squared."""
    content = bytearray(Path(IMAGE).read_bytes() if Path(IMAGE).is_file() else 100)
    content[16:24] = b"\x7f\xff\xff\xff" * 2
    return bytes(content)


def keras(rng: Random) -> list[str]:
    """A .keras file with another configuration, other weights, or other members."""
    path = "run/best.keras" if rng.random() < 0.2 else "tiny.keras"
    if rng.random() < 0.15:
        Path(path).write_bytes(change_bytes(rng, Path(path).read_bytes()))
        return _read(rng, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if rng.random() < 0.8:
        members["config.json"] = change_json(rng, members["config.json"])
    else:
        members["model.weights.h5"] = _change_hdf5(rng, members["model.weights.h5"])
    if rng.random() < 0.05:
        members[rng.choice(("../x", "x", "/x", "config.json/", "assets/x"))] = b"x"
    if rng.random() < 0.05:
        members.pop(rng.choice(sorted(members)))
    _write_zip(rng, path, members)
    return _read(rng, path)


def _write_zip(rng: Random, path: str, members: dict[str, bytes]) -> None:
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # a name twice
        for name, content in members.items():
            for _ in range(2 if rng.random() < 0.02 else 1):
                archive.writestr(name, content)


def _read(rng: Random, path: str) -> list[str]:
    """A command that reads a network."""
    return rng.choice(
        [
            *6 * [["summary", path]],
            *2 * [["predict", path, IMAGE]],
            ["evaluate", path, "--dataset=folder:images", "--limit=2"],
            ["evaluate", "tiny.keras", f"--compare={path}", "--dataset=folder:images", "--limit=2"],
            ["convert", path, "--dataset=samples", "--images=1", "--output=out.tflite"],
        ]
    )


def h5(rng: Random) -> list[str]:
    """An .h5 file of weights."""
    if rng.random() < 0.07:
        content = Path("run/best.keras").read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            Path("run/last.weights.h5").write_bytes(_change_hdf5(rng, archive.read("model.weights.h5")))
        return _read(rng, "run/last.weights.h5")
    path = rng.choice(("one.weights.h5", "one.weights.h5", "one.h5"))
    Path(path).write_bytes(_change_hdf5(rng, Path(path).read_bytes()))
    return ["load", path]


def _change_hdf5(rng: Random, content: bytes) -> bytes:
    if rng.random() < 0.5:
        return change_bytes(rng, content)
    changed = io.BytesIO(content)
    with h5py.File(changed, "r+") as file:
        for _ in range(rng.randint(1, 2)):
            with contextlib.suppress(KeyError, ValueError, RuntimeError):  # what HDF5 itself refuses
                _change_hdf5_item(rng, file)
    content = changed.getvalue()
    return change_bytes(rng, content, most=2) if rng.random() < 0.3 else content


def _change_hdf5_item(rng: Random, file: h5py.File) -> None:
    found: list[str] = []
    file.visit(found.append)
    if not found:
        return
    key = rng.choice(found)
    what = rng.randrange(8)
    if what == 0:
        del file[key]
    elif what == 1:
        file.move(key, f"{key}{rng.choice(('x', '/x', ' '))}")
    elif what == 2:
        targets = (h5py.SoftLink("/"), h5py.SoftLink(key), h5py.ExternalLink("/etc/passwd", "/"), file["/"])
        name = f"{key}_more" if isinstance(file[key], h5py.Dataset) else f"{key}/more"
        if name not in file:  # an earlier change may have made it
            file[name] = rng.choice(targets)
    elif what == 3:
        file[key].attrs["weight_names"] = rng.choice((1, "x", [b"x"], np.zeros(3), [], [b"\xff"]))
    elif what == 4:
        file.attrs["layer_names"] = rng.choice(
            (1, "x", [b"dense"], [b"x"], np.zeros(3), [b"\xff"], ["dense"])
        )
    else:
        _change_array(rng, file, key)


def _change_array(rng: Random, file: h5py.File, key: str) -> None:
    del file[key]
    shape = rng.choice(((), (0,), (2,), (4, 2), (2**40, 0), (3, 3), (1,) * 20))
    kind = rng.choice(("f4", "f8", "f2", ">f4", "i8", "?", "c8", "S3", "u1"))
    chunked = rng.choice(
        ({}, {"chunks": True}, {"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True})
    )
    if not shape or 0 in shape:
        chunked = {}
    file.create_dataset(key, data=np.zeros(shape, kind), **chunked)


def pth(rng: Random) -> list[str]:
    """A PyTorch checkpoint."""
    path = rng.choice(("one.pth", "one.pth", "old.pth"))
    content = Path(path).read_bytes()
    if path == "one.pth" and rng.random() < 0.7:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = next(name for name in members if name.endswith("data.pkl"))
        members[name] = change_bytes(rng, members[name], most=3)
        _write_zip(rng, path, members)
    else:
        Path(path).write_bytes(change_bytes(rng, content))
    return ["load", path]


def tflite(rng: Random) -> list[str]:
    """A .tflite file with other bytes."""
    content = bytearray(Path("tiny.tflite").read_bytes())
    for _ in range(rng.randint(0, 4)):
        place = rng.randrange(len(content) // 4) * 4
        value = rng.choice((0, 1, 2, 3, 4, 8, 100, 2**16, 2**31 - 1, 2**31, 2**32 - 1, rng.randrange(2**32)))
        content[place : place + 4] = value.to_bytes(4, "little")
    Path("tiny.tflite").write_bytes(change_bytes(rng, bytes(content)) if rng.random() < 0.7 else content)
    return _run_tflite(rng)


def _run_tflite(rng: Random) -> list[str]:
    if rng.random() < 0.5:
        return rng.choice((["predict", "tiny.tflite", IMAGE], ["cost", "tiny.tflite"]))
    return ["evaluate", "tiny.tflite", "--dataset=folder:images", "--limit=2"]


def runs(rng: Random) -> list[str]:
    """A run folder whose files of text are damaged."""
    name = rng.choice(
        ("config.json", "config.json", "labels.txt", "history.csv", "flips.csv", "finished.txt")
    )
    path = Path("run", name)
    content = path.read_bytes()
    shutil.copytree("run", "other")
    if rng.random() < 0.1:
        path.unlink()
        rng.choice((path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to(path.name), lambda: None))()
    else:
        path.write_bytes((change_json if name == "config.json" else change_bytes)(rng, content))
    if name in ("config.json", "history.csv", "flips.csv") and rng.random() < 0.2:
        return ["report", "page", "run", "other", "--output=out.html"]
    if name in ("history.csv", "flips.csv"):
        return ["report", "flips", "run", "--output=out.png"]
    if rng.random() < 0.2:
        return rng.choice((["evaluate", "run", "--limit=2"], ["predict", "run", IMAGE]))
    return rng.choice((["summary", "run"], ["report", "flips", "run", "--output=out.png"]))


def manifests(rng: Random) -> list[str]:
    """A .tflite file with another manifest."""
    path = Path("tiny.json")
    path.write_bytes(change_json(rng, path.read_bytes()))
    return _run_tflite(rng)


def genotypes(rng: Random) -> list[str]:
    """A file with cells that are none."""
    edges = ["conv3 1", "max 0", "none 0", "dil5 1", "avg 2", "conv5 3", "conv3 4", "dil3 2"]
    cells = json.dumps({"normal": edges, "reduction": edges, "epoch": 3, "held_out_accuracy": 0.5})
    Path("genotype.json").write_bytes(change_json(rng, cells.encode()))
    file = rng.choice(("genotype.json", "."))
    thin = ["--image_size=32", "--set=cells=3", "--set=channels=2"]
    return ["summary", "bnas", f"--genotype={file}", *thin]


KINDS: dict[str, Callable[[Random], list[str]]] = {
    kind.__name__: kind
    for kind in (flags, recipes, folders, keras, h5, pth, tflite, runs, manifests, genotypes)
}
if importlib.util.find_spec("torch") is None:  # its samples are made by PyTorch
    del KINDS["pth"]
