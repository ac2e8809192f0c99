"""Conversion of a trained model to a checked TFLite file."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bnn_keras.accounting.cost import estimate
from bnn_keras.deploy.conversion import hardening
from bnn_keras.deploy.conversion.lowering import to_flatbuffer
from bnn_keras.deploy.rewrite import IDENTITY, OPTIMIZED, Options
from bnn_keras.deploy.verification.report import Report, lines, require
from bnn_keras.deploy.verification.verify import verify
from bnn_keras.settings.input_type import FLOAT32
from bnn_keras.settings.orientation import UPRIGHT, UPSIDE_DOWN
from bnn_keras.tflite.flatbuffer import Flatbuffer
from bnn_keras.tflite.interpreter import run

__all__ = [
    "IDENTITY",
    "OPTIMIZED",
    "UPRIGHT",
    "UPSIDE_DOWN",
    "Options",
    "Report",
    "convert",
    "lines",
    "require",
    "run",
    "to_flatbuffer",
    "verify",
]


def convert(
    model: tf.keras.Model,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    unchecked: Sequence[str] = (),
    shows_progress: bool = False,
    options: Options = OPTIMIZED,
    estimates_plain: bool = False,
    input_type: str = FLOAT32,
) -> tuple[bytes, Report]:
    """Convert a model and check the file against it.

    Args:
        model: a functional Keras model in float32 with one image as its input.
        images: float32 [n, height, width, channels], real ones, on which both are compared.
        labels: [n], their classes, to measure the accuracy before and after the hard sign of progressive
            kernels; or None.
        unchecked: the names of layers whose rounding has no known bound. Their outputs are not compared;
            everything else is. A binary layer is always checked.
        shows_progress: print how many stages are compared.
        options: the runtime that the file is for, and which rewrites are skipped
            (`bnn_keras.deploy.rewrite`); `IDENTITY` skips all.
        estimates_plain: estimate also what the file would cost on a device without rewrites. For this the
            network is converted a second time, and not checked.
        input_type: of the image that the file takes, "float32" or "uint8", in [0, 255] in both.

    Returns:
        The bytes of the .tflite file, and the `Report` of what was compared.

    Raises:
        UserError: the model cannot be converted or checked, a layer cannot be left unchecked, or the file
            failed a check.

    Example:
        >>> import bnn_keras
        >>> network = bnn_keras.load("runs/small")
        >>> images, labels = next(network.dataset().test(20).as_numpy_iterator())
        >>> flatbuffer, report = bnn_keras.convert(network.keras_model, images, labels)
        >>> len(report.layers), report.images
        (4, 20)
    """
    hard = hardening.harden(model)
    flatbuffer = to_flatbuffer(hard, unchecked, options, input_type)
    report = verify(hard, flatbuffer, images, unchecked, shows_progress)
    require(report, model.name)
    plain = None
    if estimates_plain and set(options.skip) != set(IDENTITY.skip):
        # Which operations LCE makes one of others is not known without converting.
        plain = estimate(Flatbuffer(to_flatbuffer(hard, unchecked, IDENTITY)))
    measured = hardening.measure(model, hard, images, labels)
    return flatbuffer, dataclasses.replace(report, hardening=measured, plain=plain)
