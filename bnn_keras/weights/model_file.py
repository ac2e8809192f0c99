"""Reading whole models from .keras files without running what they might carry.

A .keras file is a zip archive of a configuration and weights. Both are read and checked here; Keras
gets a checked tree (`bnn_keras.weights.config`) and a file of weights that was written anew.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import larq  # noqa: F401  registers its layers and quantizers
import numpy as np
import tensorflow as tf

# Private, but nothing public builds a tree in which layers share an object, as `load_model` does.
from tf_keras.src.saving.serialization_lib import ObjectSharingScope

from bnn_keras import files
from bnn_keras.errors import UserError, one_of
from bnn_keras.nn import channels, layers, mixed, scaled_sign  # noqa: F401  registers ours
from bnn_keras.settings.checkpoint import BEST, FILES
from bnn_keras.weights.archive import read_members
from bnn_keras.weights.config import Tree, read_config
from bnn_keras.weights.hdf5_file import UNPACKED_AT_MOST, Group, read_hdf5

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
ARRAYS = "vars"  # the groups of model.weights.h5 that hold arrays
CONFIG_AT_MOST, WEIGHTS_AT_MOST = 2**26, 2**33  # bytes; BNext-L's are 700,000 and 430 million
LARGEST_TENSOR = 2**28  # numbers for one image, between two layers
# What Keras and TensorFlow raise for settings that do not fit together.
MISFITS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)


def read_model(path: str | os.PathLike) -> tf.keras.Model:
    """Read a model, without its optimizer.

    Args:
        path: a .keras file, or a run folder, of which the best weights are taken.

    Raises:
        UserError: no such file, a truncated or foreign one, or one that holds or names something else
            than a network of the classes and functions in `bnn_keras.weights.allowed`.
    """
    path = find_model(path)
    with files.opening(path) as file:
        size = os.fstat(file.fileno()).st_size
        at_most = {CONFIG: CONFIG_AT_MOST, WEIGHTS: UNPACKED_AT_MOST * size, METADATA: CONFIG_AT_MOST}
        members = read_members(file, path, at_most)
    for name in (CONFIG, WEIGHTS):
        if name not in members:
            raise UserError(f"{path} is not a whole .keras file: it has no {name}.")
    tree = read_config(members[CONFIG], path)
    weights = read_hdf5(members[WEIGHTS], path)
    try:
        model = _build(tree, weights)
        _check_sizes(model)
        _fill(model, weights)
    except MISFITS as error:
        raise UserError(
            f"Cannot read {path} as a Keras model: it is damaged or foreign ({_first_line(error)})."
        ) from error
    return model


def find_model(path: str | os.PathLike, which: str = BEST) -> Path:
    """The .keras file that a path stands for.

    Args:
        path: a .keras file or a run folder.
        which: the weights to take from a run folder, "best" or "last".

    Raises:
        UserError: there is none.
    """
    path = Path(path)
    if which not in FILES:
        raise one_of("weights", which, FILES)
    if path.is_dir():
        if (path / FILES[which]).is_file():
            return path / FILES[which]
        raise UserError(
            f"No {FILES[which]} in {path}: give a run folder in which an epoch has been completed, or a file."
        )
    if not path.exists():
        raise UserError(f"No such file or folder: {path}; valid: a run folder or a .keras file.")
    if path.suffix != ".keras":
        raise UserError(f"Cannot read {path} as a model: valid are a run folder and a .keras file.")
    return path


def _build(tree: Tree, weights: Group) -> tf.keras.Model:
    stored = sum(array.nbytes for array in weights.all_arrays().values())
    with tf.variable_creator_scope(_Memory(stored)), ObjectSharingScope():
        model = tf.keras.saving.deserialize_keras_object(tree, safe_mode=True)
    if not isinstance(model, tf.keras.Model):
        raise UserError(f"it holds a {type(model).__name__}, not a model")
    return model


class _Memory:
    """Creates variables while they can be in the file: what it promises is checked before it is made.

    Args:
        stored: the bytes of all arrays in the file.
    """

    def __init__(self, stored: int) -> None:
        self.left = 2 * stored + 2**20  # a variable may be stored in half its precision

    def __call__(self, create: Callable[..., tf.Variable], **settings: Any) -> tf.Variable:
        shape, dtype = settings.get("shape"), tf.as_dtype(settings.get("dtype") or tf.float32)
        self.left -= (tf.TensorShape(shape).num_elements() or 0) * dtype.size
        if self.left < 0:
            raise UserError("its layers need more weights than it holds")
        return create(**settings)


def _check_sizes(model: tf.keras.Model) -> None:
    """Refuse a model whose layers would fill any memory with one image."""
    tensors = [tensor for layer in model.layers for tensor in tf.nest.flatten(_outputs(layer))]
    for tensor in tensors:
        numbers = np.prod([edge or 1 for edge in tensor.shape], dtype=object)
        if numbers > LARGEST_TENSOR:
            raise UserError(f"{tensor.name!r} has {numbers:,} numbers for an image")


def _outputs(layer: tf.keras.layers.Layer) -> list:
    return [node.outputs for node in layer.inbound_nodes]


def _fill(model: tf.keras.Model, weights: Group) -> None:
    with tempfile.TemporaryDirectory() as folder:
        anew = Path(folder) / "anew.weights.h5"
        with h5py.File(anew, "w") as file:
            _write(file, weights, "weights")
        model.load_weights(anew)


def _write(target: h5py.Group, group: Group, name: str) -> None:
    # Keras looks for a layer's group, and goes through all rows of an array that stands in its place.
    if group.arrays and name != ARRAYS:
        raise ValueError(f"the group {name!r} of its weights holds an array, {min(group.arrays)!r}")
    for inner_name, inner in group.groups.items():
        _write(target.create_group(inner_name), inner, inner_name)
    for array_name, array in group.arrays.items():
        target[array_name] = array


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
