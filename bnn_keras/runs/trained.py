"""The one reader of trained networks: run folders, .keras, .weights.h5 and .tflite files."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from bnn_keras import data, files, json_file, weights
from bnn_keras.errors import UserError
from bnn_keras.runs.config import RunConfig
from bnn_keras.runs.folder import RunFolder
from bnn_keras.settings.augmentation import Augmentation, Kind
from bnn_keras.settings.checkpoint import BEST
from bnn_keras.settings.input_type import FLOAT32, INPUT_TYPES
from bnn_keras.settings.orientation import UPRIGHT
from bnn_keras.settings.preprocessing import Preprocessing
from bnn_keras.tflite.checking import LARGEST_FILE
from bnn_keras.tflite.interpreter import Interpreter

VALID = "a run folder, a .keras, a .weights.h5 or a .tflite file"
WEIGHTS_SUFFIX = ".weights.h5"


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What a network was trained on, as far as the files beside it say.

    Args:
        dataset, data_dir: as `bnn_keras.data.open` takes them.
        kind: of the images, see `bnn_keras.data.Dataset`.
        recipe: of the training; its part that makes the images of an evaluation is of use here.
        preprocessing: of an image, if that is known; otherwise it follows from the kind and the recipe.
    """

    dataset: str | None = None
    data_dir: str | None = None
    kind: Kind | None = None
    recipe: dict[str, Any] | None = None
    preprocessing: Preprocessing | None = None


@dataclasses.dataclass(frozen=True)
class _ManifestInput(TrainingData):
    """The input of a .tflite file."""

    orientation: Literal["upright", "upside_down"] = UPRIGHT


@dataclasses.dataclass(frozen=True)
class _Manifest:
    """What is read of the manifest of a .tflite file."""

    class_names: tuple[str, ...]
    input: _ManifestInput


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """A network that is ready to run, with what the files beside it say about it.

    Args:
        path: the file that holds its weights.
        logits: from images, RGB in [0, 255], float32 [batch, height, width, 3], to [batch, classes].
        input_shape: of one image.
        classes: number of outputs; 0 if it has several of them.
        model: as Keras knows it; None for a .tflite file.
        class_names: by output; None if they are unknown.
        config: of its run; None if it lies in no run folder.
        trained_on: the data of its training.
        is_classifier: whether it gives one value for each class, of one image.
    """

    path: Path
    logits: Callable[[np.ndarray], np.ndarray]
    input_shape: tuple[int, ...]
    classes: int
    model: tf.keras.Model | None = None
    class_names: tuple[str, ...] | None = None
    config: RunConfig | None = None
    trained_on: TrainingData = TrainingData()
    is_classifier: bool = True

    @property
    def keras_model(self) -> tf.keras.Model:
        """The model.

        Raises:
            UserError: it was read from a .tflite file, which holds no Keras model.
        """
        if self.model is None:
            raise UserError(
                f"{self.path} holds no Keras model; valid: a run folder, a .keras or .weights.h5 file."
            )
        return self.model

    def check_classifier(self) -> None:
        """Check that the network can be asked for the class of an image.

        Raises:
            UserError: it has several inputs or outputs, or gives a feature map.
        """
        if not self.is_classifier:
            raise UserError(f"{self.path} is no classifier: valid is one value for each class of one image.")

    @property
    def kind(self) -> str:
        """The kind of the images that it was trained on, see `bnn_keras.data.Dataset`."""
        return self.trained_on.kind or "photographs"

    @property
    def evaluated(self) -> Augmentation:
        """The part of its recipe that decides what becomes of images in an evaluation."""
        return Augmentation.for_evaluation(self.trained_on.recipe or {})

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image becomes the input.

        Raises:
            UserError: the network does not take square images in RGB, or not those of its manifest.
        """
        known = self.trained_on.preprocessing
        if known is None:
            return Preprocessing.of(self.evaluated, self.kind, self.image_size)
        if known.crop_size != self.image_size:
            raise UserError(
                f"The manifest of {self.path} prepares images of {known.crop_size} pixels; the network takes "
                f"{self.image_size}."
            )
        return known

    @property
    def image_size(self) -> int:
        """Edge of the images in pixels.

        Raises:
            UserError: it does not take square images in RGB.
        """
        height, width, channels = self.input_shape if len(self.input_shape) == 3 else (0, 0, 0)
        if height != width or channels != 3:
            raise UserError(f"{self.path} takes {self.input_shape}, not square images in RGB.")
        return int(height)

    def dataset(
        self, name: str | None = None, data_dir: str | os.PathLike | None = None, part: str | None = None
    ) -> data.Dataset:
        """Open a data set to measure the network on, with images as the network takes them.

        The images are those of `Dataset.test`. They are the held-out ones of the data set that the network
        was trained on, all images of another folder, and the held-out ones of another data set. The labels
        are those of the network, by the names of the classes.

        Args:
            name: of the data set; None is the one that the network was trained on.
            data_dir: where TensorFlow Datasets keeps it; None is the folder that the training used.
            part: of a folder, "all", "train", "val" or "test", if other images are meant.

        Raises:
            UserError: the network is no classifier, no data set is known, it is not there, or it has other
                images or classes.
        """
        self.check_classifier()
        known = self.trained_on
        name = name or known.dataset
        if name is None:
            raise UserError(f"Nothing beside {self.path} says what it was trained on: give --dataset.")
        if part is None and name.startswith(data.FOLDER) and not data.same(name, known.dataset):
            part = "all"
        opened = data.open(name, data_dir or known.data_dir, self.image_size, part=part)
        opened = self.prepared(opened)
        if self.class_names is not None:
            return opened.with_classes(self.class_names)
        if len(opened.class_names) != self.classes:
            raise UserError(
                f"{self.path} has {self.classes} classes, {name} has {len(opened.class_names)}: "
                f"give the data set that it was trained on."
            )
        return opened

    def prepared(self, dataset: data.Dataset) -> data.Dataset:
        """The data set with its test images as the network takes them, if that is known."""
        known = self.trained_on
        if known.kind is None and known.preprocessing is None:
            return dataset
        return dataclasses.replace(dataset, preprocessing=self.preprocessing)

    def read_image(self, path: str | os.PathLike) -> np.ndarray:
        """Read an image file as the network takes it: RGB in [0, 255], float32 [height, width, 3].

        Raises:
            UserError: there is no such file, or it cannot be decoded.
        """
        return data.read_prepared(path, self.preprocessing)


def load(
    path: str | os.PathLike, which: str = BEST, model: tf.keras.Model | None = None, note: str = ""
) -> TrainedNetwork:
    """Load a trained network from any of its files.

    Args:
        path: a run folder, a .keras file, a .tflite file, or a .weights.h5 file. The network of a
            .weights.h5 file is `model`, or the one of the run folder that it lies in.
        which: the weights to take from a run folder, "best" (of the epoch with the best held-out
            accuracy) or "last".
        model: a Keras model to fill with the weights, from RGB in [0, 255], [batch, height, width, 3],
            to [batch, classes]. Its weights may then come from any file that `bnn_keras.weights.load` reads.
        note: the `note` of `bnn_keras.weights.load`, for that model.

    Raises:
        UserError: there is no such file, it is damaged, or it holds another network's weights.

    Example:
        >>> import bnn_keras
        >>> network = bnn_keras.load("runs/small")
        >>> network.path.name, network.input_shape, network.classes
        ('best.keras', (32, 32, 3), 10)
    """
    path = Path(path)
    with files.reading(path):
        if path.is_dir():
            path = weights.find_model(path, which)
        if not path.is_file():
            raise UserError(f"No such file or folder: {path}; valid: {VALID}.")
        return _load(path, model, note)


def _load(path: Path, model: tf.keras.Model | None, note: str) -> TrainedNetwork:
    if model is not None:
        weights.load(model, path, note=note)
        return _with_model(path, model)
    if path.suffix == ".tflite":
        return _read_tflite(path)
    if path.suffix == ".keras":
        return _with_model(path, weights.read_model(path))
    if path.name.endswith(WEIGHTS_SUFFIX):
        return _with_model(path, _read_weights(path))
    raise UserError(f"Cannot read a network from {path}; valid: {VALID}.")


def newest_run(runs: Path) -> Path:
    """The run folder whose best weights are the newest.

    Raises:
        UserError: no run has completed an epoch.
    """
    found = [RunFolder(folder).best_model for folder in runs.glob("*/")]
    found = sorted(filter(Path.is_file, found), key=lambda file: file.stat().st_mtime)
    if not found:
        raise UserError(f"There is no run in {runs.absolute()}: train one, or give {VALID}.")
    return found[-1].parent


def _with_model(path: Path, model: tf.keras.Model) -> TrainedNetwork:
    input_shape = model.input_shape if len(model.inputs) == 1 else ()
    output_shape = model.output_shape if len(model.inputs) == len(model.outputs) == 1 else (0,)
    network = TrainedNetwork(
        path,
        model.predict_on_batch,
        input_shape[1:],
        output_shape[-1],
        model,
        is_classifier=len(output_shape) == 2,
    )
    run = RunFolder(path.parent)
    if not run.config.is_file():
        return network
    config = run.read_config()
    recipe = dataclasses.asdict(config.recipe)
    names = tuple(run.class_names()) if run.labels.is_file() else None
    if names is not None and len(names) != network.classes:
        raise UserError(f"{run.labels} has {len(names)} lines; {path} has {network.classes} classes.")
    return dataclasses.replace(
        network,
        class_names=names,
        config=config,
        trained_on=TrainingData(config.dataset, config.data_dir, config.kind, recipe),
    )


def _read_weights(path: Path) -> tf.keras.Model:
    """The network of the run folder that the weights lie in, with these weights."""
    run = RunFolder(path.parent)
    saved = [file for file in (run.best_model, run.last_model) if file.is_file()]
    if not saved:
        raise UserError(
            f"{path} holds weights alone, and no .keras file beside it says of which network: name it."
        )
    model = weights.read_model(saved[0])
    weights.load(model, path)
    return model


def _read_tflite(path: Path) -> TrainedNetwork:
    content = files.read_bytes(path, LARGEST_FILE)
    interpreter = Interpreter(content, path, os.cpu_count() or 1)
    sides = (interpreter.inputs, interpreter.outputs)
    # One input and one output, each an array for one image; the input may be of bytes.
    has_one = all(len(side) == 1 and side[0][0][:1] == (1,) for side in sides)
    if not has_one or sides[0][0][1] not in INPUT_TYPES or sides[1][0][1] != FLOAT32:
        taken, given = ([f"{kind} {list(shape)}" for shape, kind in side] for side in sides)
        raise UserError(
            f"{path} takes {', '.join(taken)} and gives {', '.join(given)}; valid: a network from one "
            f"float32 or uint8 image to one float32 array."
        )
    ((shape, _),), ((scores, _),) = sides
    network = TrainedNetwork(path, interpreter.predict, shape[1:], scores[-1], is_classifier=len(scores) == 2)
    manifest = path.with_suffix(".json")
    if not manifest.is_file():
        return network
    said = json_file.read_json(manifest, _Manifest, "the manifest of a .tflite file")

    if said.class_names and len(said.class_names) != network.classes:
        named = len(said.class_names)
        raise UserError(f"{manifest} names {named} classes; {path} has {network.classes}.")

    def turned(images: np.ndarray) -> np.ndarray:
        return interpreter.predict(images[:, ::-1, ::-1])

    return dataclasses.replace(
        network,
        logits=interpreter.predict if said.input.orientation == UPRIGHT else turned,
        class_names=said.class_names or None,
        trained_on=said.input,
    )
