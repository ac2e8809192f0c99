"""The folder of a page: its text and script, the network, the samples, and LiteRT.js."""

import base64
import dataclasses
import hashlib
import html
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from bnn_keras import files
from bnn_keras.errors import UserError
from bnn_keras.settings.preprocessing import Preprocessing

STATIC = ("page.css", "page.js", "prepare.js")
RUNTIME = "litert"  # the folder of LiteRT.js
IMPORTS = {"@litertjs/core": f"./{RUNTIME}/core.js", "@litertjs/wasm-utils": f"./{RUNTIME}/wasm-utils.js"}
# WebAssembly in a browser has addresses of 32 bits, of which engines grant at least this much. The file is
# held several times: as it was loaded, in WebAssembly's memory, and as kernels in the order of XNNPACK.
WASM_MEMORY, COPIES = 2**31, 3


@dataclasses.dataclass(frozen=True)
class Sample:
    """An image of the page.

    Args:
        pixels: uint8 [size, size, 3], the network's input.
        expected: the class that the Keras model gives it.
    """

    pixels: np.ndarray
    expected: str


@dataclasses.dataclass(frozen=True)
class About:
    """What the page must know about its network.

    Args:
        name: of the network.
        classes: their names.
        preprocessing: of an image.
        values: what the network returns, "logits" or "softmax".
        type: of its input, "float32" or "uint8".
    """

    name: str
    classes: Sequence[str]
    preprocessing: Preprocessing
    values: str
    type: str


def check_size(size: int, name: str) -> None:
    """Check that a browser can hold a file.

    Args:
        size: of the file in bytes.
        name: of the network, for the message.

    Raises:
        UserError: it is too large.
    """
    if size * COPIES > WASM_MEMORY:
        raise UserError(
            f"{name} takes {size / 2**20:.0f} MiB, which exceeds the memory of a browser's worker: "
            f"WebAssembly has {WASM_MEMORY / 2**30:.0f} GiB there, enough for a file of "
            f"{WASM_MEMORY // COPIES // 2**20} MiB."
        )


def write(
    folder: Path, about: About, network: bytes, samples: Sequence[Sample], runtime: Mapping[str, bytes]
) -> int:
    """Write a page, or nothing.

    Args:
        folder: of the page; what is in it is overwritten.
        about: the network.
        network: the bytes of its .tflite file.
        samples: images of the page.
        runtime: the files of LiteRT.js by their names.

    Returns:
        The bytes of the page.
    """
    content = {f"{RUNTIME}/{name}": data for name, data in runtime.items()}
    content[f"{about.name}.tflite"] = network
    for i, sample in enumerate(samples):
        content[f"samples/{i}.png"] = tf.io.encode_png(sample.pixels).numpy()
    content["page.json"] = _about(about, samples).encode()
    static = importlib.resources.files("bnn_keras.deploy.page") / "static"
    content |= {name: (static / name).read_bytes() for name in STATIC}
    content["index.html"] = _index((static / "index.html").read_text("utf-8"), about.name).encode()
    # The first page that a browser asks for is the last file: then all others are there.
    for name, data in content.items():
        with files.replacing(folder / name) as temporary:
            temporary.write_bytes(data)
    return sum(map(len, content.values()))


def _about(about: About, samples: Sequence[Sample]) -> str:
    said = {
        "name": about.name,
        "file": f"{about.name}.tflite",
        "size": about.preprocessing.crop_size,
        "type": about.type,
        "values": about.values,
        "classes": list(about.classes),
        "preprocessing": dataclasses.asdict(about.preprocessing),
        "samples": [
            {"file": f"samples/{i}.png", "expected": sample.expected} for i, sample in enumerate(samples)
        ],
    }
    return json.dumps(said, indent=1) + "\n"


def _index(text: str, name: str) -> str:
    imports = json.dumps({"imports": IMPORTS})
    sha256 = base64.b64encode(hashlib.sha256(imports.encode()).digest()).decode()
    # The browser itself refuses what does not lie in the folder.
    policy = (
        f"default-src 'self'; script-src 'self' 'wasm-unsafe-eval' 'sha256-{sha256}'; "
        f"img-src 'self' data: blob:; media-src 'self' blob:"
    )
    return text.replace("POLICY", policy).replace("IMPORTMAP", imports).replace("TITLE", html.escape(name))
