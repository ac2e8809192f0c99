"""The folder that a device gets: files, labels, sample images with expected outputs, and examples.

README.md            how each example is started, and what was tried
bundle.json          the checksums of all other files
model/               NAME.tflite, NAME_portable.tflite, their manifests, and labels.txt
model/samples/       images, and the outputs that each file gave for them
python/              an example, which reads only what is in the folder
cpp/, android/       likewise; only beside a portable file
"""

import hashlib
import json
import string
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import tensorflow as tf

from bnn_keras import files, json_file
from bnn_keras.deploy.bundle import samples
from bnn_keras.deploy.bundle.images import Compared
from bnn_keras.deploy.bundle.job import Made
from bnn_keras.deploy.bundle.source import Source
from bnn_keras.errors import UserError
from bnn_keras.settings.orientation import UPRIGHT
from bnn_keras.settings.runtime import BUILTIN
from bnn_keras.tflite.interpreter import Interpreter

STATIC = Path(__file__).with_name("static")  # the examples
README = "README.md"
MARKER = "bundle.json"
KIND = "a bundle of bnn-keras"
PORTABLE = "_portable"  # the end of a portable file's name
NEED_PORTABLE = ("cpp/", "android/")  # examples with stock LiteRT
ANY_RUNTIME, LCE_RUNTIME = "LiteRT or TensorFlow Lite, as packages have them", "the Larq Compute Engine (LCE)"
SAMPLES = 8
CANDIDATES = 32  # images that they are chosen from
LARGEST_FILE = 2**31  # bytes
CACHE = "__pycache__"  # that Python leaves where a script imports another one


class _Marker(msgspec.Struct):
    """What is read of the marker of a bundle."""

    kind: str
    files: dict[str, str]


def name_of(source: Source, runtime: str) -> str:
    """The name of a file in a bundle.

    Args:
        source: of the model.
        runtime: that the file is for.
    """
    return f"{source.output.stem}{PORTABLE * (runtime == BUILTIN)}.tflite"


def check(folder: Path, source: Source) -> None:
    """Check that a bundle can be made of a network, and written to a folder, before work that takes long.

    Args:
        folder: of the bundle. An earlier bundle may lie there, if nothing was added to it or changed in it.
        source: of the model.

    Raises:
        UserError: the folder holds something else or cannot be written, or the network classifies no images.
    """
    source.network.check_classifier()
    _ = source.network.preprocessing  # which there is for square images in RGB only
    with files.reading(folder):
        if Path.cwd().is_relative_to(folder.resolve()):
            raise UserError(f"--bundle={folder} is the current folder or holds it: give a folder in it.")
        if folder.is_dir():
            _check_replaceable(folder)
        elif folder.exists():
            raise UserError(f"--bundle names a folder. Received: the file {folder}.")
    files.check_writable(folder / MARKER)


def _check_replaceable(folder: Path) -> None:
    known: dict[str, str] = {}
    if (folder / MARKER).is_file():
        marker = json_file.read_json(folder / MARKER, _Marker, KIND)
        known = {**marker.files, MARKER: _sha256(folder / MARKER)} if marker.kind == KIND else {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        # Not all of a large folder is read.
        if path.is_file() and CACHE not in name and not (name in known and known[name] == _sha256(path)):
            raise UserError(
                f"{folder} holds {name}, which is not of a bundle or was changed: only an unchanged bundle "
                f"is replaced, so give another folder."
            )


def _sha256(path: Path) -> str:
    return hashlib.sha256(files.read_bytes(path, LARGEST_FILE)).hexdigest()


def write(folder: Path, source: Source, made: Sequence[Made], compared: Compared) -> None:
    """Write a bundle, or nothing. An earlier one is replaced as a whole.

    Args:
        folder: of the bundle, see `check`.
        source: of the model.
        made: its files.
        compared: images, of which the samples are chosen.

    Raises:
        UserError: the disk is full. Nothing was written.
    """
    check(folder, source)
    pixels, expected, tolerance = _choose(source, made, compared)
    with files.replacing_folder(folder) as place:
        (place / "model" / "samples").mkdir(parents=True)
        for one, outputs in zip(made, expected, strict=True):
            one.write(place / "model")
            _write_expected(place, one.name, outputs, tolerance)
        upright = pixels if source.orientation == UPRIGHT else pixels[:, ::-1, ::-1]
        for i, image in enumerate(upright):
            (place / "model" / "samples" / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
        names = source.network.class_names or map(str, range(source.network.classes))
        (place / "model" / "labels.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")
        _write_examples(place, source, made, tolerance)
        marker = {"kind": KIND, "files": {name: _sha256(place / name) for name in _files(place)}}
        (place / MARKER).write_text(json.dumps(marker, indent=1) + "\n", "utf-8")
        size = sum((place / name).stat().st_size for name in _files(place))
    print(f"wrote {folder} ({size / 2**20:.1f} MiB): README.md there says how to start the examples")


def _files(place: Path) -> list[str]:
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())


def _choose(
    source: Source, made: Sequence[Made], compared: Compared
) -> tuple[np.ndarray, list[np.ndarray], float]:
    """The samples, uint8 [n, size, size, 3], what each file gives for them here, and the tolerance."""
    pixels, of_model = samples.in_whole_numbers(source.model, compared.images[:CANDIDATES])
    outputs = [Interpreter(one.flatbuffer, one.name).predict(pixels.astype(np.float32)) for one in made]
    # Files with integers in place of floats differ by more than rounding from the model and from each other.
    others = [] if "quantization" in made[0].manifest else [of_model, *outputs[1:]]
    chosen, tolerance = samples.choose_calm(outputs[0], others, SAMPLES)
    return pixels[chosen], [one[chosen] for one in outputs], tolerance


def _write_expected(place: Path, name: str, outputs: np.ndarray, tolerance: float) -> None:
    expected = {
        "samples": [f"{i}.png" for i in range(len(outputs))],
        "tolerance": float(np.abs(outputs).max() * tolerance),
        "outputs": outputs.astype(float).tolist(),
    }
    path = place / "model" / "samples" / f"{Path(name).stem}.json"
    path.write_text(json.dumps(expected) + "\n", "utf-8")


def _write_examples(place: Path, source: Source, made: Sequence[Made], tolerance: float) -> None:
    is_portable = [one.manifest["rewrites"]["runtime"] == BUILTIN for one in made]
    rows = [
        f"| model/{one.name} | {len(one.flatbuffer):,} | {ANY_RUNTIME if portable else LCE_RUNTIME} |"
        for one, portable in zip(made, is_portable, strict=True)
    ]
    values = {
        "name": source.name,
        "files": "\n".join(rows),
        "images_of": made[0].manifest["verified"]["images_of"],
        "tolerance": f"{100 * tolerance:.2g}",
    }
    for name in _files(STATIC):
        if CACHE in name or (name.startswith(NEED_PORTABLE) and not any(is_portable)):
            continue
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = (STATIC / name).read_bytes()
        if name == README:
            content = string.Template(content.decode()).substitute(values).encode()
        path.write_bytes(content)
