"""The folder of a training run: its files, its settings, and the lock on it."""

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import platform
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import bnn_keras
from bnn_keras import files
from bnn_keras.errors import UserError
from bnn_keras.runs.config import RunConfig
from bnn_keras.settings import checkpoint

LARGEST_LABELS = 2**26  # bytes
LIST = "checkpoint"  # TensorFlow's name of the file that lists the checkpoints of a folder
PACKAGES = ("tensorflow", "tf-keras", "larq", "larq-compute-engine", "numpy")


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Names of the files in a run folder.

    Args:
        path: of the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """Every resolved setting, and the environment."""
        return self.path / "config.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of what a killed run resumes from."""
        return self.path / "checkpoints"

    @property
    def last_model(self) -> Path:
        """The model after the last epoch."""
        return self.path / checkpoint.FILES[checkpoint.LAST]

    @property
    def best_model(self) -> Path:
        """The model with the best held-out accuracy."""
        return self.path / checkpoint.FILES[checkpoint.BEST]

    @property
    def history(self) -> Path:
        """A row for each epoch."""
        return self.path / "history.csv"

    @property
    def flips(self) -> Path:
        """A row for each epoch and binary kernel."""
        return self.path / "flips.csv"

    @property
    def labels(self) -> Path:
        """The class names, one in each line."""
        return self.path / "labels.txt"

    @property
    def pictures(self) -> Path:
        """Folder of curves.png and flips.png."""
        return self.path / "pictures"

    @property
    def genotype(self) -> Path:
        """The best cells that a search has found."""
        return self.path / "genotype.json"

    @property
    def genotypes(self) -> Path:
        """Folder of the cells of every epoch of a search."""
        return self.path / "genotypes"

    @property
    def cells(self) -> Path:
        """A drawing of the best cells of a search."""
        return self.pictures / "cells.png"

    @property
    def tensorboard(self) -> Path:
        """Folder of scalars for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def report(self) -> Path:
        """One self-contained page."""
        return self.path / "report.html"

    @property
    def quantization(self) -> Path:
        """What the study of fewer bits has given."""
        return self.path / "quantization.json"

    @property
    def finished(self) -> Path:
        """The sentence that says what was reached; the file exists once the run is finished."""
        return self.path / "finished.txt"

    def read_config(self) -> RunConfig:
        """The settings of the run.

        Raises:
            UserError: the folder is not a run folder, or its configuration cannot be read.
        """
        with files.reading(self.path):
            if not self.config.is_file():
                raise UserError(f"{self.path} is not a run folder: it has no {self.config.name}.")
        return RunConfig.read(self.config)

    def class_names(self) -> list[str]:
        """The lines of labels.txt.

        Raises:
            UserError: the file cannot be read.
        """
        return files.read_text(self.labels, LARGEST_LABELS).splitlines()

    def claim(self, config: RunConfig) -> None:
        """Make this the folder of a run with these settings, or find that it already is.

        Raises:
            UserError: the folder is another run's, or it holds something else.
        """
        if files.printable(str(self.path)) != str(self.path):
            raise UserError(
                f"TensorFlow writes only to folders whose names are UTF-8, without control characters. "
                f"Received: {self.path}."
            )
        # Of two processes that begin at once, the second finds the configuration of the first.
        with files.locked(self.path), files.writing(self.path):
            if self.config.is_file():
                self._take_over(config)
                return
            strangers = sorted(entry.name for entry in self.path.iterdir() if not files.is_partial(entry))
            if strangers:
                raise UserError(
                    f"The output folder {self.path} is neither empty nor a run folder: "
                    f"it holds {strangers[0]!r}; choose another --output_dir."
                )
            self._write(config)

    @property
    def begun(self) -> bool:
        """Whether the run has come to a checkpoint; until then another one may take its place."""
        return self.finished.is_file() or (self.checkpoints / LIST).is_file()

    def is_finished(self, config: RunConfig) -> bool:
        """Whether a run with these settings is finished, and is not to be extended."""
        # In this order: a run that is extended loses its mark before its configuration changes.
        if not self.config.is_file():  # another worker is about to write it
            return False
        same = not any(self.read_config().differences(config))
        return same and self.finished.is_file()

    def _take_over(self, config: RunConfig) -> None:
        """Keep the configuration that is there, extend it, or replace that of a run that has not begun."""
        there = self.read_config()
        differences = list(there.differences(config))
        if not differences:
            return
        extended = [key for key, *_ in differences] == ["extensions"] and config.recipe.extends(there.recipe)
        if self.begun and not extended:
            key, old, new = differences[0]
            raise UserError(
                f"{self.path} holds a different run: its {key} is {old}, asked for is {new}; give the "
                f"same settings to resume it, or another --output_dir."
            )
        # Not while another process is training here.
        with self.locked():
            self.finished.unlink(missing_ok=True)
            self._write(config)

    def _write(self, config: RunConfig) -> None:
        config = dataclasses.replace(config, environment=environment())
        files.write_text(self.config, config.to_json())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other training processes, and remove the partial files of a killed one.

        Raises:
            UserError: another process is training here.
        """
        with files.writing(self.config):
            file = open(self.config, "r+")  # noqa: SIM115  closed below
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"Another process is training in {self.path}: wait for it or choose another --output_dir."
                ) from None
            self._remove_partial_files()
            yield

    def _remove_partial_files(self) -> None:
        """Remove what a killed process was writing."""
        for entry in self.path.rglob(".*.partial*"):
            if files.is_left_over(entry):
                entry.unlink(missing_ok=True)


def default(model: str, dataset: str) -> Path:
    """runs/MODEL-DATASET, a folder of images by its last name."""
    name = Path(dataset.removeprefix("folder:")).name if dataset.startswith("folder:") else dataset
    return Path("runs") / re.sub(r"[^\w.-]+", "-", f"{model}-{name}")


def environment() -> dict:
    """Versions and the git revision that a run depends on."""
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {
        "python": platform.python_version(),
        "bnn_keras": bnn_keras.__version__,
        **versions,
        "git_revision": _git_revision(),
    }


def _git_revision() -> str | None:
    """The commit of the checkout that this package runs from; None outside of one."""
    package = Path(bnn_keras.__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            command = ["git", "-C", str(package), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # Installed into an environment inside somebody else's repository, it is not that one's.
    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return git("describe", "--always", "--dirty", "--abbrev=40", "--match=")
