"""From a trained model to a TFLite file that is checked before it is written."""

import dataclasses

from bnn_keras.deploy.conversion import hardening
from bnn_keras.deploy.conversion.lowering import to_flatbuffer
from bnn_keras.deploy.conversion.orientation import UPRIGHT, UPSIDE_DOWN
from bnn_keras.deploy.verification.checks import Report, lines, require, verify
from bnn_keras.tflite.interpreter import interpreter, run

__all__ = [
    "UPRIGHT",
    "UPSIDE_DOWN",
    "Report",
    "convert",
    "interpreter",
    "lines",
    "require",
    "run",
    "to_flatbuffer",
    "verify",
]


def convert(model, images, labels=None):
    """Convert a model and check the file against it.

    Args:
        model: a functional Keras model with one image as its input, in float32.
        images: float32 [n, height, width, channels], real ones, on which the two are compared.
        labels: [n], their classes, for what the hard sign of progressive kernels costs; or None.

    Returns:
        The bytes of the .tflite file, and the `Report` of what was compared.

    Raises:
        UserError: the model cannot be converted or checked, or the file failed a check.
    """
    hard = hardening.harden(model)
    flatbuffer = to_flatbuffer(hard)
    report = verify(hard, flatbuffer, images)
    require(report, model.name)
    return flatbuffer, dataclasses.replace(report, hardening=hardening.measure(model, hard, images, labels))
