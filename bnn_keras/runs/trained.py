"""A trained network in any of its files, as a thing that maps images to logits."""

import dataclasses
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bnn_keras import data, weights
from bnn_keras.errors import UserError, one_of
from bnn_keras.runs.folder import RunFolder
from bnn_keras.tflite import interpreter as interpreters
from bnn_keras.tflite.flatbuffer import Flatbuffer

BEST, LAST = "best", "last"
# Which way up a file takes its image.
UPRIGHT, UPSIDE_DOWN = "upright", "upside_down"


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A network that is ready to run.

    Args:
        file: that it was read from.
        logits: from images, RGB in [0, 255], float32 [batch, size, size, 3], to [batch, classes].
        input_shape: of an image.
        classes: outputs.
        class_names: by output; None if no file beside says them.
        trained_on: `dataset`, `data_dir` and `kind` of what it was trained on and the `recipe`, where
            a file beside says so.
    """

    file: Path
    logits: Callable[[np.ndarray], np.ndarray]
    input_shape: tuple[int, ...]
    classes: int
    class_names: tuple[str, ...] | None = None
    trained_on: dict = dataclasses.field(default_factory=dict)

    def dataset(self, name: str | None, data_dir: str | os.PathLike | None = None) -> data.Dataset:
        """Open a data set with images as the network takes them.

        Args:
            name: of the data set; None is the one that the network was trained on.

        Raises:
            UserError: no data set is known, or it has other images or classes.
        """
        known = self.trained_on
        name = name or known.get("dataset")
        if name is None:
            raise UserError(f"Nothing beside {self.file} says what it was trained on: give --dataset.")
        opened = data.open(
            name, data_dir or known.get("data_dir"), self.image_size, augmentation=self.augmentation
        )
        if len(opened.class_names) != self.classes:
            raise UserError(
                f"{self.file} has {self.classes} classes, {name} has {len(opened.class_names)}: "
                f"give the data set that it was trained on."
            )
        return opened

    @property
    def kind(self) -> str:
        """Of the images that it was trained on, as in `bnn_keras.data.Dataset`."""
        return self.trained_on.get("kind") or "photographs"

    @property
    def augmentation(self) -> data.Augmentation:
        """How its recipe makes the images of an evaluation."""
        return data.Augmentation.for_evaluation(self.trained_on.get("recipe", {}))

    @property
    def image_size(self) -> int:
        """Edge of the images in pixels.

        Raises:
            UserError: it takes something else than square images in RGB.
        """
        if (
            len(self.input_shape) != 3
            or self.input_shape[0] != self.input_shape[1]
            or self.input_shape[2] != 3
        ):
            raise UserError(f"{self.file} takes {self.input_shape}, not square images in RGB.")
        return int(self.input_shape[0])


def read(path: str | os.PathLike, which: str = BEST) -> Classifier:
    """Read a network.

    Args:
        path: a run folder, a .keras file or a .tflite file.
        which: "best" or "last": the weights to take from a run folder.

    Raises:
        UserError: no such file, or none that can be read.
    """
    path = Path(path)
    if which not in (BEST, LAST):
        raise one_of("weights", which, (BEST, LAST))
    if path.is_dir():
        folder = RunFolder(path)
        folder.read_config()
        path = folder.best_model if which == BEST else folder.last_model
        if not path.is_file():
            raise UserError(f"{folder.path} has no {path.name} yet: its training is not that far.")
    if path.suffix == ".tflite":
        return _read_tflite(path)
    return _read_keras(path)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits; what is already a distribution stays as it is."""
    if np.all(logits >= 0) and np.allclose(logits.sum(axis=-1), 1, atol=1e-3):
        return logits
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _read_keras(path: Path) -> Classifier:
    network = weights.read_model(path)
    shape, classes = tuple(network.input_shape[1:]), network.output_shape[-1]
    run = RunFolder(path.parent)
    if not run.config.is_file():
        return Classifier(path, network.predict_on_batch, shape, classes)
    config = run.read_config().to_dict()
    return Classifier(path, network.predict_on_batch, shape, classes, tuple(run.class_names()), config)


def _read_tflite(path: Path) -> Classifier:
    if not path.is_file():
        raise UserError(f"No such file: {path}; valid: a run folder, a .keras or a .tflite file.")
    content = path.read_bytes()
    _refuse_damaged(content, path)
    interpreter = interpreters.interpreter(content, os.cpu_count() or 1)
    shape = tuple(map(int, interpreter.input_shapes[0][1:]))
    classes = int(interpreter.output_shapes[0][-1])
    manifest = path.with_suffix(".json")
    if not manifest.is_file():
        return Classifier(path, interpreter.predict, shape, classes)
    said = _read_manifest(manifest)
    names = tuple(said["class_names"]) or None

    def turned(images):
        return interpreter.predict(np.ascontiguousarray(images[:, ::-1, ::-1]))

    upright = said["input"].get("orientation", UPRIGHT) == UPRIGHT
    logits = interpreter.predict if upright else turned
    return Classifier(path, logits, shape, classes, names, said["input"])


def _read_manifest(path: Path) -> dict:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not a whole JSON file: {error}.") from error
    if not isinstance(said, dict) or not {"class_names", "input"} <= said.keys():
        raise UserError(f"{path} is not the manifest of a .tflite file: it lacks class_names or input.")
    return said


def _refuse_damaged(content: bytes, path: Path) -> None:
    # The interpreter trusts its input: a damaged file would end the process without a word.
    try:
        Flatbuffer(content)
    except (struct.error, IndexError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a whole TFLite file ({str(error).rstrip('.')}).") from error
