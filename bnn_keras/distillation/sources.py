"""Where teachers come from: run folders, .keras files, keras.applications, and files for the zoo."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from bnn_keras.data import Dataset, imagenet
from bnn_keras.distillation import applications
from bnn_keras.distillation.teacher import Teacher, in_precision, to_logits
from bnn_keras.errors import UserError
from bnn_keras.papers import teachers as published
from bnn_keras.runs import RunFolder, Table, trained

VALID = (
    "a run folder, a .keras file, a network of keras.applications (resnet50, efficientnetb0, convnext_tiny, "
    "…) with its published weights, or NAME=FILE for one of them or of the zoo (resnet34=FILE, …)"
)
TORCH_FILES = (".pth", ".pt", ".tar")


class Zoo(Protocol):
    """Builds teachers from files of weights: `zoo.registry`, or any module like it."""

    build: Callable[..., tf.keras.Model]
    list_models: Callable[[], list[str]]

    def torch_settings(self, name: str) -> dict[str, Any]:
        """The settings with which a network computes what it computes in PyTorch."""


def read(text: str, dataset: Dataset, zoo: Zoo, precision: str = "float32") -> Teacher:
    """Read the teacher that the user names, and check its classes.

    Args:
        text: a run folder, a file or a name; see `VALID`.
        dataset: of the student.
        zoo: builds the networks of NAME=FILE.
        precision: one of `teacher.PRECISIONS`.

    Raises:
        UserError: the teacher is unknown, has no weights, cannot be downloaded, is damaged, or has other
            classes.
    """
    teacher = _read(text, dataset, zoo)
    teacher.check(dataset.class_names, dataset.name)
    network = in_precision(to_logits(teacher.network), precision)
    network.trainable = False
    return Teacher(teacher.name, network, teacher.class_names, teacher.accuracy)


def _read(text: str, dataset: Dataset, zoo: Zoo) -> Teacher:
    name, _, path = text.partition("=")
    if Path(text).exists():
        return read_trained(text)
    if path and applications.known(name):
        network = applications.build(name, dataset.image_size, path)
        return Teacher(name, network, accuracy=published.accuracy(name))
    if path and name in zoo.list_models():
        return _of_the_zoo(name, path, dataset, zoo)
    if applications.known(text):
        # Checked before anything is downloaded.
        stand_in = Teacher(text, _stand_in(applications.CLASSES), imagenet.identifiers())
        stand_in.check(dataset.class_names, dataset.name)
        network = applications.build(text, dataset.image_size, applications.IMAGENET)
        return Teacher(text, network, stand_in.class_names, published.accuracy(text))
    if text in zoo.list_models():
        raise UserError(f"The teacher {text} has no weights: give {text}=FILE, or the folder of its run.")
    raise UserError(f"Unknown teacher {text!r}; valid: {VALID}.")


def read_trained(path: str | os.PathLike) -> Teacher:
    """Read the teacher in a run folder, a .keras or a .weights.h5 file.

    Raises:
        UserError: there is no network, it cannot be read, or it is no classifier of RGB images.
    """
    found = trained.load(path)
    _check_form(found.keras_model, Path(path))
    accuracy = _best_accuracy(RunFolder(found.path.parent))
    return Teacher(os.fspath(path), found.keras_model, found.class_names, accuracy)


def _best_accuracy(run: RunFolder) -> float | None:
    """The best held-out accuracy of a run."""
    table = Table(run.history, ())
    return max(table.column("val_accuracy"), default=None) if run.config.is_file() else None


def _check_form(network: tf.keras.Model, path: Path) -> None:
    images, logits = network.input_shape, network.output_shape
    if (
        not isinstance(images, tuple)
        or len(images) != 4
        or images[-1] != 3
        or not isinstance(logits, tuple)
        or len(logits) != 2
    ):
        raise UserError(
            f"The teacher {path} maps {images} to {logits}; a teacher maps images in RGB, "
            f"(batch, height, width, 3), to (batch, classes)."
        )


def _of_the_zoo(name: str, path: str, dataset: Dataset, zoo: Zoo) -> Teacher:
    settings: dict = {"normalization": dataset.normalization}
    if Path(path).suffix in TORCH_FILES:
        settings |= zoo.torch_settings(name)
    size, classes = dataset.image_size, len(dataset.class_names)
    network = zoo.build(name, (size, size, 3), classes, weights=path, **settings)
    return Teacher(name, network, accuracy=published.accuracy(name))


def _stand_in(classes: int) -> tf.keras.Model:
    """A small network with this number of classes."""
    image = tf.keras.Input((None, None, 3))
    return tf.keras.Model(image, tf.keras.layers.Dense(classes)(tf.keras.layers.GlobalAvgPool2D()(image)))
