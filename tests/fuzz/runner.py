"""Runs one case in a process of its own, forked from this one, in which all modules are loaded.

No operation of TensorFlow may run in this process before: the threads that it starts are not there in a
forked one.
"""

import atexit
import contextlib
import ctypes
import dataclasses
import gc
import importlib
import os
import pkgutil
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
import weakref
from collections.abc import Iterator
from pathlib import Path
from random import Random

import larq.layers_base
import larq.math
from tensorflow.python.autograph.core import converter
from tensorflow.python.autograph.impl import api

from bnn_keras import cli
from bnn_keras.data.augment import crops
from bnn_keras.data.sources import folder as image_folder
from bnn_keras.data.sources import images
from bnn_keras.nn import convolution
from tests.fuzz import samples
from tests.fuzz.cases import KINDS

# Cases of a kind in a round: fewer of those that take more time.
SHARES = {"flags": 20, "recipes": 20, "keras": 10, "h5": 5, "pth": 5}
HANGS_AFTER = 20  # seconds
MEMORY = 2**32  # bytes that a case may take beside what this process has
CHILD_SUBREAPER = 36  # for prctl
LOADED = (
    "larq_compute_engine.tflite.python.interpreter_wrapper_lite",
    "tensorflow_datasets",
    "torch",
    "matplotlib.backends.backend_agg",
    "tabulate",
)
# What TensorFlow converts to its own code when a case first meets it: here, once for all cases.
CONVERTED = (
    *(larq.layers_base.BaseLayer.call, larq.layers_base.QuantizerBaseConv.call, convolution.Conv2D.call),
    *(larq.quantizers.SteSign.call, larq.quantizers._BaseQuantizer.call, larq.quantizers.ste_sign),
    *(larq.math.sign, crops.centre, crops.resize, images.decode, images.pixels, images.read_file),
    *(images._decode_bmp, images._bmp_palette, image_folder.ImageFiles.read),
)
AUTOGRAPH = "__autograph_generated_file"  # modules that TensorFlow makes
XNNPACK = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"  # TensorFlow's own line
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
}


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a case.

    Args:
        kind, seed: of the case.
        words: the command line.
        status: the exit status, or minus the signal that ended the process.
        output, errors: what it printed.
        flaw: what is wrong; None if it is all right.
    """

    kind: str
    seed: int
    words: list[str]
    status: int
    output: str
    errors: str
    flaw: str | None

    def __str__(self) -> str:
        command = " ".join(repr(word)[:200] for word in self.words)
        return f"--kind={self.kind} --seed={self.seed}: {self.flaw}\n  {command}\n{self.errors[-2000:]}"


class Runner:
    """Runs cases one after another.

    Args:
        root: an empty folder; nothing outside of it may change.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.samples, self.scratch = self.root / "samples", self.root / "case"
        self.inner = [self.scratch, self.root / "home", self.root / "tmp"]
        for package in ("bnn_keras", "zoo"):
            for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
                if not module.name.endswith("__main__"):
                    importlib.import_module(module.name)
        for name in LOADED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        options = converter.ConversionOptions(recursive=True, optional_features=())
        for function in CONVERTED:
            api._convert_actual(function, converter.ProgramContext(options))
        ctypes.CDLL(None).prctl(CHILD_SUBREAPER, 1)
        os.environ.update(HOME=str(self.root / "home"), TMPDIR=str(self.root / "tmp"))
        # One case may find what another has kept of the folder with the same name, as a user does.
        os.environ["BNN_KERAS_CACHE"] = str(self.root / "cache")
        sys.dont_write_bytecode = True
        self.modules, self.libraries = set(sys.modules), _libraries()
        self._prepare()
        status, _ = self._fork(lambda: samples.make(self.scratch) or 0, HANGS_AFTER * 10)
        if status != 0:
            raise RuntimeError(f"The samples cannot be made: {self._printed()[1]}")
        shutil.copytree(self.scratch, self.samples)
        gc.collect()
        gc.freeze()

    def run(self, kind: str, seed: int) -> Result:
        """Run a case; again if it takes too long, as the machine may have been busy."""
        result = self._run(kind, seed)
        return self._run(kind, seed) if result.status == -signal.SIGKILL else result

    def _run(self, kind: str, seed: int) -> Result:
        self._prepare()
        shutil.copytree(self.samples, self.scratch, dirs_exist_ok=True)
        os.mkfifo(self.scratch / "pipe")
        (self.scratch / "circle").symlink_to("circle")
        os.chdir(self.scratch)
        words = KINDS[kind](Random(f"{kind} {seed}"))
        before, processes = self._files(), _children()
        package = "tests.fuzz.verbs" if words[0] == "load" else cli.door.PACKAGE
        status, left = self._fork(lambda: cli.run(words, package), HANGS_AFTER)
        output, errors = self._printed()
        # The decoders of images print what they find, and only they.
        judged = errors[errors.rfind("\nerror: ") + 1 :] if kind == "folders" and status == 2 else errors
        # Only predict goes on after a sentence, and then ends with status 1.
        partly_done = status == 1 and words[0] == "predict" and "\nerror: " in f"\n{errors}"
        flaw = self._flaw(0 if partly_done else status, judged, before)
        if left or _children() - processes:
            flaw = flaw or "a process is left"
            _end(_children() - processes)
        return Result(kind, seed, words, status, output, errors, flaw)

    def _prepare(self) -> None:
        os.chdir(self.root)
        for folder in self.inner:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    def _fork(self, work, seconds: float) -> tuple[int, bool]:
        """Run something in a forked process; its status, and whether it left processes of its group."""
        pid = os.fork()
        if pid == 0:
            self._child(work)
        ended = select.poll()
        descriptor = os.pidfd_open(pid)
        ended.register(descriptor, select.POLLIN)
        is_in_time = ended.poll(1000 * seconds)
        os.close(descriptor)
        left = False
        if not is_in_time:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
            left = bool(is_in_time)
        return os.waitstatus_to_exitcode(status), left

    def _child(self, work) -> None:
        status = 1
        try:
            os.setsid()
            tempfile.tempdir = None
            _redirect(self.root)
            limit = _memory() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**28, 2**28))
            sys.addaudithook(self._guard)
            # What the libraries would do at the end of the process that was forked is not this one's.
            atexit._clear()
            weakref.finalize._registry.clear()
            status = work()
            atexit._run_exitfuncs()
            weakref.finalize._exitfunc()
            self._check_loaded()
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
            status = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _check_loaded(self) -> None:
        """Refuse modules and libraries that were not there before."""
        more = _libraries() - self.libraries
        if len(sys.modules) > len(self.modules):
            more |= _packages(sys.modules.keys() - self.modules) - _packages(self.modules)
        if more:
            raise RuntimeError(f"loaded: {', '.join(sorted(more))}")

    def _guard(self, event: str, arguments: tuple) -> None:
        """Refuse to change a file outside of the root."""
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
            paths = arguments[:1]
        elif event in CHANGES:
            paths = arguments[:2] if event in ("os.rename", "os.link") else arguments[:1]
        else:
            return
        for path in paths:
            if isinstance(path, (str, bytes, os.PathLike)):
                real = os.path.realpath(os.fsdecode(path))
                if not f"{real}/".startswith((f"{self.root}/", "/dev/null/", "/proc/", "/sys/")):
                    raise RuntimeError(f"touched outside: {event} {path!r}")

    def _printed(self) -> tuple[str, str]:
        texts = [(self.root / name).read_text("utf-8", "replace") for name in ("output", "errors")]
        return texts[0], texts[1].replace(XNNPACK, "")

    def _files(self) -> dict[str, tuple]:
        """What lies in the folder of the case, and in the home and temporary folders."""
        found = {}
        for folder in self.inner:
            for above, folders, names in os.walk(folder):
                for name in [*folders, *names]:
                    path = os.path.join(above, name)
                    state = os.lstat(path)
                    found[path] = (state.st_mode, state.st_size, state.st_mtime_ns) if name in names else ()
        return found

    def _flaw(self, status: int, errors: str, before: dict[str, tuple]) -> str | None:
        after = self._files()
        lines = errors.splitlines()
        if status == -signal.SIGKILL:
            return f"hangs: more than {HANGS_AFTER} s, or killed"
        if status < 0:
            return f"crashes: signal {-status}"
        if status not in (0, 2):
            return f"exit status {status}"
        if status == 2 and (len(lines) != 1 or not lines[0].startswith("error: ") or len(errors) > 20_000):
            return "not one line that starts with 'error: '"
        if "Traceback" in errors:
            return "a trace"
        changed = {path for path in before if after.get(path) != before[path]}
        added = after.keys() - before.keys()
        if status == 0:  # what was asked for lies in the folder of the case
            changed, added = changed - _inside(self.scratch, changed), added - _inside(self.scratch, added)
        if changed or added:
            return f"files changed: {sorted(changed)}, left: {sorted(added)}"
        return None


def _inside(folder: Path, paths: set[str]) -> set[str]:
    return {path for path in paths if path.startswith(f"{folder}/")}


def _redirect(root: Path) -> None:
    """Let this process read nothing and print to files, in strict UTF-8."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, name in ((0, os.devnull), (1, root / "output"), (2, root / "errors")):
        os.dup2(os.open(name, flags if number else os.O_RDONLY), number)
    for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
        stream.reconfigure(encoding="utf-8", errors=errors)


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _packages(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules if not name.startswith(AUTOGRAPH)}


def _libraries() -> set[str]:
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if line.endswith(".so") or ".so." in line}


def _children() -> set[int]:
    return {
        int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()
    }


def _end(processes: set[int]) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def cases(count: int, first: int = 0, kind: str | None = None) -> Iterator[tuple[str, int]]:
    """The kinds in turns, the cheap ones more often, with seeds that go up."""
    kinds = [kind] if kind else [kind for kind in KINDS for _ in range(SHARES.get(kind, 1))]
    seeds = dict.fromkeys(KINDS, first)
    for number in range(count):
        chosen = kinds[number % len(kinds)]
        yield chosen, seeds[chosen]
        seeds[chosen] += 1
