"""TensorFlow's own converter: a SavedModel to a file without custom operations.

The one module that uses a private part of TensorFlow Lite: its converter's exception has no public name.
"""

import contextlib
import os
import re
import sys
from collections.abc import Collection, Iterator

import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from bnn_keras.errors import UserError

UNSUPPORTED = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
# How an error of the converter names the operation of the traced function, and with it the layer.
PLACE = re.compile(r'loc\([^"]*(?:"\w+:", )?"([^"]+)"')


def convert_saved_model(folder: str, name: str, layers: Collection[str] = ()) -> bytes:
    """Convert a SavedModel, with the operations that every TFLite runtime has.

    Args:
        folder: of the SavedModel.
        name: of the model, for the messages.
        layers: the names of its layers, which those of its operations begin with.

    Raises:
        UserError: it has an operation that TFLite does not have.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    try:
        with _silent():
            return bytes(converter.convert())
    except ConverterError as error:
        raise _refusal(str(error), name, layers) from error


def _refusal(text: str, name: str, layers: Collection[str]) -> UserError:
    found = UNSUPPORTED.search(text)
    if found is None:
        return UserError(f"TFLite cannot convert {name!r}: {text.strip().splitlines()[0]}")
    place = PLACE.search(text)
    inside = [layer for layer in layers if place is not None and place[1].startswith(f"{layer}/")]
    layer = f" of the layer {max(inside, key=len)!r}" if inside else ""
    return UserError(
        f"{name!r} cannot be made portable: TFLite has no operation {found[1]}, which is a part{layer}."
    )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Leave out what the converter says on standard error, past all settings of a log: that it ignores two
    options, which it sets itself."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
