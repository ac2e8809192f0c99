"""The networks of keras.applications as teachers, by their names in lower case."""

import inspect
import os
import socket
import zipfile
from collections.abc import Callable, Mapping
from types import ModuleType

import numpy as np
import tensorflow as tf

from bnn_keras.errors import UserError

CLASSES = 1000
IMAGENET = "imagenet"
# EfficientNet's published files hold standard deviations where its layer expects variances. Keras corrects
# this in the graph, but only for weights="imagenet".
DEVIATIONS = (0.229, 0.224, 0.225)


def names() -> list[str]:
    """The names of all networks, sorted, without underscores: "convnexttiny"."""
    return sorted(_modules())


def known(name: str) -> bool:
    """Whether there is a network of this name; underscores and capitals do not matter."""
    return _key(name) in _modules()


def build(name: str, image_size: int, weights: str | os.PathLike | None) -> tf.keras.Model:
    """Build a network for ImageNet's classes, including its preprocessing.

    Like the teachers of BNext's authors, it is built for the student's images, whatever the size it was
    trained on. Only VGG keeps its own size, which its dense layers require.

    Args:
        name: of a network that is `known`.
        image_size: edge of the images in pixels.
        weights: a file that Keras reads for this network; "imagenet" for the published weights, which
            are taken from ~/.keras or downloaded once; None for random weights.

    Returns:
        A model from RGB in [0, 255] to logits.

    Raises:
        UserError: weights that do not exist or do not fit, or images that are too small.
    """
    module, constructor = _modules()[_key(name)]
    settings = {"classifier_activation": None, "classes": CLASSES}
    try:
        core = constructor(weights=None, input_shape=(image_size, image_size, 3), **settings)
    except ValueError as error:
        raise UserError(f"{name} cannot take images of {image_size} pixels: {_first_line(error)}.") from error
    if any(isinstance(layer, tf.keras.layers.Flatten) for layer in core.layers):
        core = constructor(weights=None, **settings)
    if weights == IMAGENET:
        core.set_weights(_published(name, constructor, settings).get_weights())
    elif weights is not None:
        _load(name, core, weights)
    _mend_normalization(core)
    image = tf.keras.Input(core.input_shape[1:], name="image")
    return tf.keras.Model(image, core(module.preprocess_input(image)), name=_key(name))


def _modules() -> Mapping[str, tuple[ModuleType, Callable]]:
    """For each name the module with `preprocess_input`, and the constructor."""
    everything = vars(tf.keras.applications)
    modules = {
        module.preprocess_input.__module__: module
        for module in everything.values()
        if inspect.ismodule(module) and hasattr(module, "preprocess_input")
    }
    return {
        name.lower(): (modules[constructor.__module__], constructor)
        for name, constructor in everything.items()
        if name[0].isupper() and inspect.isfunction(constructor)
    }


def _key(name: str) -> str:
    return name.replace("_", "").lower()


def _published(name: str, constructor: Callable, settings: dict) -> tf.keras.Model:
    try:
        return constructor(weights=IMAGENET, **settings)
    except BaseException as error:
        # Keras raises a bare Exception for a failed download; only its text identifies it.
        if not str(error).startswith("URL fetch failure") and not isinstance(
            error, (OSError, socket.timeout)
        ):
            raise
        raise UserError(
            f"The published weights of {name} are not in ~/.keras/models and cannot be downloaded "
            f"({_first_line(error)}); {name}=FILE takes them from a file."
        ) from error


def _load(name: str, network: tf.keras.Model, path: str | os.PathLike) -> None:
    if not os.path.isfile(path):
        raise UserError(f"No such file: {path}; {name}=FILE takes a file of weights written by Keras.")
    try:
        network.load_weights(path)
    except (ValueError, KeyError, OSError, IndexError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is damaged or does not hold the weights of {name} with {CLASSES} classes: "
            f"{_first_line(error)}."
        ) from error


def _mend_normalization(network: tf.keras.Model) -> None:
    for layer in network.layers:
        if isinstance(layer, tf.keras.layers.Normalization) and layer.weights:
            mean, variance, *count = layer.get_weights()
            if np.allclose(variance, DEVIATIONS):
                layer.set_weights([mean, np.square(variance), *count])


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
