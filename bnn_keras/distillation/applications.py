"""keras.applications as teachers: every network there, by its name in small letters."""

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
# EfficientNet's published files hold deviations where its layer wants variances. Keras puts it right
# in the graph, and only for weights="imagenet".
DEVIATIONS = (0.229, 0.224, 0.225)


def names() -> list[str]:
    """What `constructor` takes, sorted: "convnext_tiny" is "convnexttiny" here."""
    return sorted(_modules())


def known(name: str) -> bool:
    """Whether a network is called so; underscores and capitals do not matter."""
    return _key(name) in _modules()


def build(name: str, image_size: int, weights: str | os.PathLike | None) -> tf.keras.Model:
    """A network for ImageNet's classes, its preprocessing included.

    It takes images of any size, like the BNext authors' teachers, which see 224 pixels whatever they
    were trained on. VGG alone, whose dense layers fit one size only, keeps its own.

    Args:
        name: of a network that is `known`.
        image_size: edge in pixels that is asked for.
        weights: a file that Keras reads for this network; "imagenet" for the published ones, from
            ~/.keras or, once, from the network; None for none.

    Returns:
        From RGB in [0, 255] to logits.

    Raises:
        UserError: weights that are not there or do not fit, too small an image.
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
    """Name -> the module with its `preprocess_input`, and its constructor."""
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
        # Keras raises a bare Exception for a failed download, which only its text tells apart.
        if not str(error).startswith("URL fetch failure") and not isinstance(
            error, (OSError, socket.timeout)
        ):
            raise
        raise UserError(
            f"The published weights of {name} are not in ~/.keras/models and cannot be fetched "
            f"({_first_line(error)}); with a network they are fetched once, and {name}=FILE takes a file."
        ) from error


def _load(name: str, network: tf.keras.Model, path: str | os.PathLike) -> None:
    if not os.path.isfile(path):
        raise UserError(f"No such file: {path}; {name}=FILE takes a file of weights that Keras wrote.")
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
