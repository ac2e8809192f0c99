"""Binary neural networks that are trained in Keras and deployed as checked TFLite files.

    import bnn_keras, zoo

Recipe                  the settings of a training
train                   trains a network by a recipe, in a run folder
load                    a trained network, from a run folder, .keras, .weights.h5 or .tflite file
evaluate, compare       accuracy and calibration on held-out images; whether two networks differ
predict, predict_files  the likeliest classes of images, as arrays or as files and folders
profile                 parameters, size and operations of a Keras model
convert, verify         a Keras model as a checked .tflite file; the check alone

Networks come from the package `zoo`. Every name, and every room of the library such as
`bnn_keras.data`, is imported when it is first asked for: `import bnn_keras` alone imports no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

from bnn_keras import legacy_keras as _legacy_keras

if TYPE_CHECKING:
    from bnn_keras.accounting import profile
    from bnn_keras.deploy import convert, verify
    from bnn_keras.runs.comparison import compare
    from bnn_keras.runs.evaluation import evaluate
    from bnn_keras.runs.prediction import predict, predict_files
    from bnn_keras.runs.trained import load
    from bnn_keras.settings.recipe import Recipe
    from bnn_keras.training import train

_legacy_keras.require()

__version__ = "0.1.0"
__all__ = [
    "Recipe",
    "compare",
    "convert",
    "evaluate",
    "load",
    "predict",
    "predict_files",
    "profile",
    "train",
    "verify",
]

_HOMES = {
    "Recipe": "settings.recipe",
    "compare": "runs.comparison",
    "convert": "deploy",
    "evaluate": "runs.evaluation",
    "load": "runs.trained",
    "predict": "runs.prediction",
    "predict_files": "runs.prediction",
    "profile": "accounting",
    "train": "training.fit",
    "verify": "deploy",
}
_ROOMS = (
    "accounting",
    "data",
    "deploy",
    "distillation",
    "nn",
    "papers",
    "report",
    "runs",
    "search",
    "settings",
    "tflite",
    "training",
    "weights",
)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_ROOMS])
