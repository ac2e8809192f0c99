"""The process of `bnn_keras.tflite.interpreter`: a script that imports one interpreter and NumPy only.

Run as `python interpreter_process.py KERNELS LIBRARY CONNECTION THREADS`. It receives a file, and sends the
shapes and types of what the file takes and gives. Then it receives images, an array for each input, and sends
for each of these images an array for each output, and the seconds that it took with the most memory of the
process so far. An error ends it with a message on stderr.
"""

import contextlib
import importlib.util
import json
import resource
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

# Of processor time, which a busy machine does not shorten, for an image. The largest networks take a few.
SECONDS = 20
LARGEST_MEMORY = 12 * 2**30  # bytes of addresses, which are more than those in use
# The kernels that run a file: LCE's interpreter, which has XNNPACK's and the binary ones; LiteRT's, which has
# XNNPACK's unless they are left out.
LCE, LITERT, LITERT_PLAIN = KERNELS = ("lce", "litert", "litert_plain")


def main(kernels: str, library: str, connection: Connection, threads: int) -> None:
    """Answer until the other side closes the connection."""
    import numpy as np

    content = connection.recv_bytes()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # ends the process
    if kernels == LCE:
        interpreter = _load(library).LiteInterpreter(content, threads, False, True, True)
    else:
        interpreter = _LiteRt(content, threads, kernels == LITERT)
    described = [
        [(list(map(int, shape)), np.dtype(kind).name) for shape, kind in zip(shapes, kinds, strict=True)]
        for shapes, kinds in (
            (interpreter.input_shapes, interpreter.input_types),
            (interpreter.output_shapes, interpreter.output_types),
        )
    ]
    connection.send_bytes(json.dumps(described).encode())
    while True:
        signal.setitimer(signal.ITIMER_PROF, 0)
        inputs = [
            np.frombuffer(connection.recv_bytes(), kind).reshape(-1, *shape) for shape, kind in described[0]
        ]
        for images in zip(*inputs, strict=True):
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            begin = time.perf_counter()
            outputs = interpreter.predict(list(images))
            seconds = time.perf_counter() - begin
            for output in outputs:
                connection.send_bytes(np.ascontiguousarray(output).tobytes())
            connection.send_bytes(json.dumps([seconds, _peak_memory()]).encode())


def _peak_memory() -> int:
    """The most memory of this process so far, in bytes.

    `getrusage` would also count that of the process that started this one.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 2**10 for line in file if line.startswith("VmHWM"))


def _load(library: str) -> Any:
    """LCE's compiled interpreter by itself: importing its package would import TensorFlow."""
    spec = importlib.util.spec_from_file_location("interpreter_wrapper_lite", library)
    if spec is None or spec.loader is None:
        raise ImportError(f"{library} is not a library")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _LiteRt:
    """LiteRT's interpreter, with the methods of LCE's."""

    def __init__(self, content: bytes, threads: int, uses_xnnpack: bool) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType.AUTO if uses_xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._interpreter = Interpreter(
            model_content=content, num_threads=threads, experimental_op_resolver_type=resolver
        )
        self._interpreter.allocate_tensors()
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._inputs, self._outputs = ([one["index"] for one in side] for side in (inputs, outputs))
        self.input_shapes, self.output_shapes = ([one["shape"] for one in side] for side in (inputs, outputs))
        self.input_types, self.output_types = ([one["dtype"] for one in side] for side in (inputs, outputs))

    def predict(self, arrays: list[Any]) -> list[Any]:
        """The outputs for one image, an array for each input."""
        for index, array in zip(self._inputs, arrays, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


def _give_up_rights() -> None:
    """Write no files, dump no core, and take no more memory than a network needs."""
    for kind, limit in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, LARGEST_MEMORY),
    ):
        _, hard = resource.getrlimit(kind)
        most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    _give_up_rights()
    # Until the other side closes the connection.
    with contextlib.suppress(EOFError, BrokenPipeError):
        main(sys.argv[1], sys.argv[2], Connection(int(sys.argv[3])), int(sys.argv[4]))
