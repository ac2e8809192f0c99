"""Calls of layers as a trained network makes them, outside of training."""

import inspect
from collections.abc import Callable
from typing import Any


def infer(layer: Callable, args: Any, kwargs: Any) -> Any:
    """Call a layer outside of training, unless its call says otherwise.

    Some layers, such as Keras's RandomFlip, are in training if they are not told.

    Args:
        layer: a layer or a function.
        args, kwargs: of the call.
    """
    if "training" in inspect.signature(getattr(layer, "call", layer)).parameters:
        kwargs = {"training": False, **kwargs}
    return layer(*args, **kwargs)
