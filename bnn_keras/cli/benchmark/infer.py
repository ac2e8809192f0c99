"""Time .tflite files on this computer, each in the interpreter that it is made for.

bnn benchmark infer FILE.tflite [FILE.tflite ...] [flags]

A file with operations of the Larq Compute Engine (LCE) runs in LCE's interpreter, with XNNPACK and its fast
kernels; any other file runs in LiteRT with its default settings. Each has a process of its own. The files
take turns, one image each. The time is that of one image in the interpreter, its copying in and out included.
Beside them, on request: MobileNet-v1 in 32 bits, of tf.keras.applications without its weights, and larq-zoo's
MeliusNet22 as LCE's own converter writes it.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras import files
from bnn_keras.cli.benchmark import timing
from bnn_keras.cli.flags import COUNT, SWITCH, Flag
from bnn_keras.errors import UserError

if TYPE_CHECKING:
    from bnn_keras.tflite.interpreter import Interpreter

MOBILENET, LARQ_ZOO = "MobileNet-v1", "larq-zoo's MeliusNet22"
SIZE = 224  # pixels of the two networks
FLAGS = [
    Flag("threads", COUNT, "of each interpreter", 1),
    Flag("repeats", COUNT, "images for each file, in turns", 100),
    Flag("mobilenet", SWITCH, "also measure MobileNet-v1, in 32 bits, at 224 pixels", False),
    Flag("larq_zoo", SWITCH, "also measure larq-zoo's MeliusNet22, at 224 pixels", False),
]
NAMES = {
    "lce": "LCE's interpreter, XNNPACK and its binary kernels",
    "litert": "LiteRT, XNNPACK",
}


def run(values: FlagValues, positional: list[str]) -> None:
    """Measure in turns and print."""
    if not positional:
        raise UserError("Name one or more .tflite files. Received: none.")
    if len(set(positional)) < len(positional):
        raise UserError(f"Name each file once. Received: {' '.join(positional)}.")
    interpreters = {path: _of_file(path, values.threads) for path in positional}
    if values.mobilenet:
        interpreters[MOBILENET] = _of_content(_mobilenet(), MOBILENET, values.threads)
    if values.larq_zoo:
        interpreters[LARQ_ZOO] = _of_content(_larq_zoo(), LARQ_ZOO, values.threads)
    runs = {name: _call(interpreter) for name, interpreter in interpreters.items()}
    times = timing.interleaved(runs, values.repeats, timing.WARM_UP, timed=True)
    print(f"one image, {values.threads} threads, {values.repeats} images of each file, interleaved")
    print(_table(interpreters, times))
    print(f"A/A ratio of the first: {times.aa_ratio:.3f}")
    print(timing.machine())
    if any(one.kernels == "lce" for one in interpreters.values()) and timing.is_x86():
        print(
            "This is x86: LCE has fast binary kernels for ARM64 only, and runs its portable ones here; these "
            "times say nothing about a phone."
        )


def _of_file(path: str, threads: int) -> "Interpreter":
    from bnn_keras.tflite.checking import LARGEST_FILE

    return _of_content(files.read_bytes(path, LARGEST_FILE), path, threads)


def _of_content(content: bytes, name: str, threads: int) -> "Interpreter":
    from bnn_keras.tflite.interpreter import Interpreter

    return Interpreter(content, name, threads)


def _call(interpreter: "Interpreter") -> Callable[[], float]:
    """A function that runs one image of noise, and returns the seconds that the interpreter took."""
    import numpy as np

    rng = np.random.default_rng(0)
    noise = [rng.uniform(0, 255, shape).astype(kind) for shape, kind in interpreter.inputs]

    def measured() -> float:
        interpreter.predict_all(noise)
        return interpreter.seconds[0]

    return measured


def _table(interpreters: "dict[str, Interpreter]", times: timing.Timing) -> str:
    from tabulate import tabulate

    rows = [
        [
            files.printable(name),
            f"{1000 * times.median(name):.2f}",
            f"{1000 * times.quantile(name, 0.9):.2f}",
            f"{times.ratio(name):.3f}",
            f"{interpreter.peak_memory / 2**20:.0f}",
            NAMES[interpreter.kernels],
        ]
        for name, interpreter in interpreters.items()
    ]
    headings = ["file", "median, ms", "p90, ms", "of the first", "peak memory, MiB", "kernels"]
    aligned = ["left", "right", "right", "right", "right", "left"]
    return tabulate(rows, headings, disable_numparse=True, colalign=aligned)


def _mobilenet() -> bytes:
    import tensorflow as tf

    from bnn_keras.deploy.portable import converter

    model = tf.keras.applications.MobileNet((SIZE, SIZE, 3), weights=None)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(model, str(Path(folder)))
        return converter.convert_saved_model(folder, MOBILENET)


def _larq_zoo() -> bytes:
    import larq_compute_engine as lce
    import larq_zoo

    from bnn_keras.cli.benchmark.convert import randomise_statistics

    model = larq_zoo.literature.MeliusNet22(input_shape=(SIZE, SIZE, 3), weights=None)
    randomise_statistics(model)
    return bytes(lce.convert_keras_model(model))
