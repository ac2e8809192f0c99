"""Running a .tflite file, after a check and in another process.

Files with LCE's operations run in its interpreter, others in LiteRT's (the package ai-edge-litert).

TFLite's kernels trust their inputs: a crafted file can end the process that runs it. A file is checked
(`bnn_keras.tflite.checking`), and as no check can foresee what every kernel does, the interpreter has a
process of its own (`bnn_keras.tflite.interpreter_process`), which imports no TensorFlow, has no other
files open, and may not write any. If it ends, that is a `UserError`.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import weakref
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from larq_compute_engine.tflite.python import interpreter_wrapper_lite

from bnn_keras.errors import UserError
from bnn_keras.tflite import interpreter_process
from bnn_keras.tflite.checking import check_tflite
from bnn_keras.tflite.flatbuffer import Flatbuffer
from bnn_keras.tflite.images import as_bytes
from bnn_keras.tflite.interpreter_process import LCE, LITERT, LITERT_PLAIN, SECONDS
from bnn_keras.tflite.operations import CUSTOM_OPERATIONS

LONGEST_REASON = 200  # characters
TFLITE_ERROR = "ERROR: "


def kernels_of(file: Flatbuffer) -> tuple[str, ...]:
    """The kernels that a file is made for: those that it runs with by default first."""
    has_custom = any(op.name in CUSTOM_OPERATIONS for op in file.ops)
    return (LCE,) if has_custom else (LITERT, LITERT_PLAIN)


class Interpreter:
    """The interpreter of one file: LCE's with the flags that are fast, or LiteRT's.

    Args:
        content: the file's bytes.
        name: of the file, for the messages.
        threads: of the interpreter.
        is_checked: this process has made the content from a file that it has checked.
        kernels: one of `bnn_keras.tflite.interpreter_process.KERNELS`; None takes the first of `kernels_of`.

    Attributes:
        kernels: that run it.
        inputs, outputs: for each array that the file takes or gives, its shape with a batch of 1 and the
            name of its type.
        seconds: that each image of the last call took in the interpreter.
        peak_memory: of its process in bytes, after the last call.

    Raises:
        UserError: the file is refused by the check or the interpreter, or crashes that.
    """

    def __init__(
        self,
        content: bytes,
        name: str | os.PathLike = "The file",
        threads: int = 2,
        is_checked: bool = False,
        kernels: str | None = None,
    ) -> None:
        if kernels is None or not is_checked:
            file = check_tflite(content, name)
            kernels = kernels or kernels_of(file)[0]
        self.name, self.kernels = name, kernels
        self.seconds: list[float] = []
        self.peak_memory = 0
        self._connection, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = _start(self.kernels, theirs.fileno(), threads)
        weakref.finalize(self, _end, self._connection, self._process)
        self._send(content)
        described = json.loads(self._receive())
        self.inputs, self.outputs = ([(tuple(s), t) for s, t in side] for side in described)

    def predict(self, images: np.ndarray | list[np.ndarray]) -> Any:
        """Run the file on each image.

        Args:
            images: [batch, ...]; or a list with such an array for each input of the file. An input of bytes
                gets them rounded.

        Returns:
            [batch, ...]; or a list with such an array for each output of the file, if it has several.

        Raises:
            UserError: the images have another shape, or the interpreter fails or crashes.
        """
        outputs = self.predict_all(images if isinstance(images, list) else [images])
        return outputs[0] if len(outputs) == 1 else outputs

    def predict_all(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """As `predict`, with a list for the inputs and for the outputs, however many there are."""
        given, taken = ([tuple(shape[1:]) for shape in of] for of in (_shapes(arrays), _shapes(self.inputs)))
        if given != taken:
            raise UserError(f"{self.name} takes arrays of shapes {taken}. Received: {given}.")
        for array, (_, kind) in zip(arrays, self.inputs, strict=True):
            values = as_bytes(array) if kind == "uint8" else array
            self._send(np.ascontiguousarray(values, kind).tobytes())
        self.seconds = []
        rows = [self._receive_image() for _ in arrays[0]]
        return [np.stack(column) for column in zip(*rows, strict=True)]

    def _receive_image(self) -> list[np.ndarray]:
        arrays = [self._receive_array(*output) for output in self.outputs]
        seconds, self.peak_memory = json.loads(self._receive())
        self.seconds.append(seconds)
        return arrays

    def _receive_array(self, shape: tuple[int, ...], kind: str) -> np.ndarray:
        values = np.frombuffer(self._receive(), kind)
        if values.size != np.prod(shape):
            raise UserError(f"{self.name} cannot be run: the shape of an output depends on the image.")
        if values.size != np.prod(shape[1:]):
            raise UserError(f"{self.name} cannot be run: an output has {shape[0]} rows for one image.")
        return values.reshape(shape[1:])

    def _send(self, content: bytes) -> None:
        try:
            self._connection.send_bytes(content)
        except OSError as error:
            raise self._ended() from error

    def _receive(self) -> bytes:
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._ended() from error

    def _ended(self) -> UserError:
        """Why the process ended."""
        _, errors = self._process.communicate()
        status = self._process.returncode
        if status == -signal.SIGPROF:
            reason = f"an image takes more than {SECONDS} seconds of processor time"
        elif status < 0:
            reason = f"it crashes the interpreter ({signal.Signals(-status).name})"
        else:
            lines = errors.decode(errors="replace").splitlines() or ["the interpreter ended"]
            # TFLite's own message; otherwise the last line of Python's.
            reason = next((line for line in lines if line.startswith(TFLITE_ERROR)), lines[-1])
        reason = (
            "".join(filter(str.isprintable, reason)).rstrip(".").removeprefix(TFLITE_ERROR)[:LONGEST_REASON]
        )
        return UserError(f"{self.name} cannot be run: {reason}.")


def run(flatbuffer: bytes, images: np.ndarray) -> Any:
    """Run a file on each image, as `Interpreter.predict` does."""
    return Interpreter(flatbuffer).predict(images)


def _shapes(arrays: Any) -> list[tuple[int, ...]]:
    return [array.shape if isinstance(array, np.ndarray) else array[0] for array in arrays]


def _start(kernels: str, connection: int, threads: int) -> subprocess.Popen:
    library = interpreter_wrapper_lite.__file__
    return subprocess.Popen(
        [sys.executable, interpreter_process.__file__, kernels, library, str(connection), str(threads)],
        # The process finds NumPy where this one does.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
        pass_fds=[connection],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process only
    )


def _end(connection: Connection, process: subprocess.Popen) -> None:
    connection.close()
    process.kill()
    process.wait()
    if process.stderr is not None:
        process.stderr.close()
