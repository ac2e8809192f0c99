"""Training a network by a recipe, in a run folder that it can be resumed from."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnn_keras.training.fit import CHECKPOINT_STEPS, WIDTH, make_deterministic, train

__all__ = ["CHECKPOINT_STEPS", "WIDTH", "make_deterministic", "train"]


def __getattr__(name: str) -> Any:
    # Only when it is asked for: `bnn_keras.training.workers` needs no TensorFlow.
    if name in __all__:
        return getattr(importlib.import_module("bnn_keras.training.fit"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
