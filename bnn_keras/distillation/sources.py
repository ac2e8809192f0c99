"""Where teachers come from: keras.applications, the zoo, our run folders and .keras files."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import tensorflow as tf

from bnn_keras import weights
from bnn_keras.data import Dataset
from bnn_keras.distillation import applications
from bnn_keras.distillation.teacher import Teacher, in_precision, to_logits
from bnn_keras.errors import UserError
from bnn_keras.papers import teachers as published
from bnn_keras.runs import RunFolder, Table

VALID = (
    "a run folder, a .keras file, a network of keras.applications (resnet50, efficientnetb0, convnext_tiny, "
    "…) with its published weights, or NAME=FILE for one of them or of the zoo (resnet34=FILE, …)"
)
IMAGENET = "imagenet2012"
TORCH_FILES = (".pth", ".pt", ".tar")
# torchvision's residual networks: PyTorch's padding, and its own means and deviations.
TORCHVISION = {"symmetric": True, "normalization": "larq_zoo"}


class Zoo(Protocol):
    """What a teacher is built with: `zoo.registry`, or any module like it."""

    build: Callable[..., tf.keras.Model]
    list_models: Callable[[], list[str]]


def read(text: str, dataset: Dataset, zoo: Zoo, precision: str = "float32") -> Teacher:
    """The teacher that a word of the command line stands for, checked against the classes.

    Args:
        text: see `VALID`.
        dataset: that will be taught.
        zoo: builds the networks of NAME=FILE.
        precision: one of `teacher.PRECISIONS`.

    Raises:
        UserError: it is unknown, has no weights, cannot be fetched, is damaged, or has other classes.
    """
    teacher = _read(text, dataset, zoo)
    teacher.check(dataset.class_names, dataset.name)
    network = in_precision(to_logits(teacher.network), precision)
    network.trainable = False
    return Teacher(teacher.name, network, teacher.class_names, teacher.accuracy)


def _read(text: str, dataset: Dataset, zoo: Zoo) -> Teacher:
    name, _, path = text.partition("=")
    if Path(text).exists():
        return ours(text)
    if path and applications.known(name):
        network = applications.build(name, dataset.image_size, path)
        return Teacher(name, network, accuracy=published.accuracy(name))
    if path and name in zoo.list_models():
        return _of_the_zoo(name, path, dataset, zoo)
    if applications.known(text):
        # Before anything is fetched.
        imagenet = Teacher(text, _stand_in(applications.CLASSES), imagenet_names())
        imagenet.check(dataset.class_names, dataset.name)
        network = applications.build(text, dataset.image_size, applications.IMAGENET)
        return Teacher(text, network, imagenet.class_names, published.accuracy(text))
    if text in zoo.list_models():
        raise UserError(f"The teacher {text} has no weights: give {text}=FILE, or the folder of its run.")
    raise UserError(f"Unknown teacher {text!r}; valid: {VALID}.")


def ours(path: str | os.PathLike) -> Teacher:
    """The teacher in a run folder or a .keras file.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = Path(path)
    network = weights.read_model(path)
    run = RunFolder(path if path.is_dir() else path.parent)
    names = tuple(run.class_names()) if run.config.is_file() and run.labels.is_file() else None
    _check_form(network, path)
    return Teacher(os.fspath(path), network, names, _reached(run))


def _reached(run: RunFolder) -> float | None:
    """The best held-out accuracy of a run."""
    table = Table(run.history, ())
    return max(table.column("val_accuracy"), default=None) if run.config.is_file() else None


def _check_form(network: tf.keras.Model, path: Path) -> None:
    images, logits = network.input_shape, network.output_shape
    if not isinstance(images, tuple) or len(images) != 4 or images[-1] != 3 or len(logits) != 2:
        raise UserError(
            f"The teacher {path} maps {images} to {logits}; a teacher maps images in RGB, "
            f"(batch, height, width, 3), to (batch, classes)."
        )


def _of_the_zoo(name: str, path: str, dataset: Dataset, zoo: Zoo) -> Teacher:
    settings: dict = {"normalization": dataset.normalization}
    if name in published.TORCHVISION and Path(path).suffix in TORCH_FILES:
        settings = TORCHVISION
    size, classes = dataset.image_size, len(dataset.class_names)
    network = zoo.build(name, (size, size, 3), classes, weights=path, **settings)
    return Teacher(name, network, accuracy=published.accuracy(name))


def _stand_in(classes: int) -> tf.keras.Model:
    """As many outputs, and nothing to build."""
    image = tf.keras.Input((None, None, 3))
    return tf.keras.Model(image, tf.keras.layers.Dense(classes)(tf.keras.layers.GlobalAvgPool2D()(image)))


def imagenet_names() -> tuple[str, ...]:
    """ImageNet's classes in the order of the published weights, as TensorFlow Datasets names them."""
    import tensorflow_datasets as tfds  # a second to import, for this source only

    return tuple(tfds.builder(IMAGENET).info.features["label"].names)
