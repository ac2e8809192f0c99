"""Classify images with a network of this bundle, or check that it computes here what it should.

python classify.py photo.jpg another.png
python classify.py --check
python classify.py --file=../model/NAME.tflite photo.jpg

Needs NumPy, Pillow and ai-edge-litert (requirements.txt). A file for the Larq Compute Engine (LCE) needs the
package larq-compute-engine instead of ai-edge-litert. The exit status is 0 if all went well and 1 otherwise.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from phone_input import prepare
from PIL import Image

MODEL = Path(__file__).resolve().parent.parent / "model"
TOP = 5  # classes that are shown
BUILTIN = "builtin"  # the runtime of portable files, in their manifests

Runner = Callable[[np.ndarray], np.ndarray]


def default_file() -> Path:
    """The portable file if there is one, which needs fewer packages, and otherwise the file for LCE."""
    found = sorted(MODEL.glob("*.tflite"), key=lambda path: not path.stem.endswith("_portable"))
    if not found:
        raise ValueError(f"{MODEL} holds no .tflite file")
    return found[0]


def read_network(file: Path) -> tuple[bytes, dict]:
    """The bytes of a .tflite file, and its manifest, which names their checksum."""
    manifest = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
        raise ValueError(f"{file.name} is damaged: it is not the file that its manifest describes")
    return content, manifest


def runner_of(content: bytes, manifest: dict, threads: int) -> Runner:
    """A function from the network's input, [1, size, size, 3], to its output, [classes]."""
    if manifest["rewrites"]["runtime"] == BUILTIN:
        return litert(content, threads)
    return lce(content, threads)


def litert(content: bytes, threads: int) -> Runner:
    """The network in LiteRT, with its default settings."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(taken["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])[0]

    return run


def lce(content: bytes, threads: int) -> Runner:
    """The network in LCE's interpreter. On a PC it has no fast binary kernels; the results are the same."""
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # larq-compute-engine imports TensorFlow with Keras 2
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    interpreter = Interpreter(content, threads, use_indirect_bgemm=True, use_xnnpack=True)
    return lambda image: np.asarray(interpreter.predict(image))[0]


def probabilities(output: np.ndarray, values: str) -> np.ndarray:
    """The outputs as shares of 1."""
    if values != "logits":
        return output
    powers = np.exp(output - output.max())
    return powers / powers.sum()


def classify(run: Runner, manifest: dict, labels: list[str], path: Path) -> str:
    """The likeliest classes of an image file, in words."""
    image = prepare(path, manifest)
    begin = time.perf_counter()
    output = run(image)
    milliseconds = 1000 * (time.perf_counter() - begin)
    shares = probabilities(output, manifest["output"]["values"])
    best = np.argsort(-shares, kind="stable")[:TOP]
    return f"{path}: {', '.join(f'{labels[k]} {shares[k]:.1%}' for k in best)} ({milliseconds:.1f} ms)"


def read_sample(path: Path, manifest: dict) -> np.ndarray:
    """A sample as the network takes it: its pixels are the input."""
    with Image.open(path) as file:
        pixels = np.asarray(file.convert("RGB"))
    if manifest["input"]["orientation"] == "upside_down":
        pixels = pixels[::-1, ::-1]
    return np.ascontiguousarray(pixels[None], manifest["input"]["type"])


def check(run: Runner, manifest: dict, labels: list[str], name: str) -> bool:
    """Compare the outputs of the samples with the expected ones, and print how each compares."""
    expected = json.loads((MODEL / "samples" / f"{name}.json").read_text(encoding="utf-8"))
    tolerance, passed = expected["tolerance"], 0
    for sample, row in zip(expected["samples"], expected["outputs"], strict=True):
        output = run(read_sample(MODEL / "samples" / sample, manifest))
        difference = float(np.abs(output - np.array(row)).max())
        good = difference <= tolerance  # not so for NaN
        passed += good
        print(
            f"{sample}: {labels[int(output.argmax())]}, expected {labels[int(np.argmax(row))]}; largest "
            f"difference {difference:.2g} of {tolerance:.2g} allowed: {'ok' if good else 'WRONG'}"
        )
    print(f"{passed} of {len(expected['samples'])} samples give what they should")
    return passed == len(expected["samples"])


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="compare the samples' outputs with the expected")
    parser.add_argument("--file", type=Path, help="the .tflite file; the portable one if not given")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    if not arguments.check and not arguments.images:
        parser.error("give images, or --check")
    good = True
    try:
        file = arguments.file or default_file()
        content, manifest = read_network(file)
        labels = (MODEL / "labels.txt").read_text(encoding="utf-8").splitlines()
        run = runner_of(content, manifest, arguments.threads)
        if arguments.check:
            good = check(run, manifest, labels, file.stem)
    except ImportError as error:
        print(f"error: {error}: {file.name} needs the package {error.name}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in arguments.images:
        try:
            print(classify(run, manifest, labels, path))
        except (OSError, ValueError) as error:
            print(f"error: {path} cannot be read: {error}", file=sys.stderr)
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
