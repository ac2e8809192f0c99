"""Reading whole models from .keras files without running what they might carry.

A .keras file names the classes to build. Keras imports whatever module it is told to, so the names
are checked before Keras sees them: its own layers, Larq's and ours, and what this process has
registered; of TensorFlow's functions only those that compute on tensors.
"""

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import larq  # noqa: F401  registers its layers and quantizers
import tensorflow as tf

from bnn_keras.errors import UserError, one_of
from bnn_keras.nn import layers  # noqa: F401  registers ours
from bnn_keras.settings.checkpoint import BEST, FILES

KERAS_MODULES = (
    "keras.layers",
    "keras.initializers",
    "keras.constraints",
    "keras.regularizers",
    "keras.activations",
    "tf_keras.src.engine.functional",
    "tf_keras.src.engine.sequential",
)
TENSOR_FUNCTIONS = ("math.", "nn.", "__operators__.", "compat.v1.nn.", "compat.v1.math.")
_MORE = (
    "abs add argmax cast clip_by_value concat expand_dims identity maximum minimum multiply ones_like "
    "pad reduce_max reduce_mean reduce_sum reshape round shape sigmoid sign split sqrt square squeeze "
    "stack stop_gradient strided_slice subtract tanh tile transpose unstack where zeros_like "
    "compat.v1.concat compat.v1.pad compat.v1.shape compat.v1.squeeze compat.v1.transpose "
    "compat.v1.where compat.v1.strided_slice"
)
MORE_TENSOR_FUNCTIONS = frozenset(_MORE.split())


def read_model(path: str | os.PathLike) -> tf.keras.Model:
    """Read a model, without its optimizer.

    Args:
        path: a .keras file, or a run folder, of which the best weights are taken.

    Raises:
        UserError: no such file, a truncated or foreign one, or one that names code to run.
    """
    path = find_model(path)
    _refuse_code(_config(path), path)
    try:
        return tf.keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"Cannot read {path} as a Keras model: it is damaged or foreign ({reason})."
        ) from error


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


def _config(path: Path) -> dict:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged:
                raise UserError(f"{path} is damaged: {damaged} in it fails its checksum.")
            return json.loads(archive.read("config.json"))
    except (
        zipfile.BadZipFile,
        KeyError,
        json.JSONDecodeError,
        UnicodeDecodeError,
        EOFError,
        OSError,
    ) as error:
        raise UserError(
            f"{path} is not a whole .keras file (a zip archive with a config.json): {error}."
        ) from error


def _refuse_code(config: dict, path: Path) -> None:
    for item in _objects(config):
        if not _is_safe(item):
            raise UserError(
                f"{path} asks for {item.get('class_name')!r} of {item.get('module')!r}, not among the "
                f"classes that are loaded from files: Keras's layers, Larq's, bnn_keras's, plain TensorFlow "
                f"functions on tensors, and what this process registers with Keras (no Lambda)."
            )


def _objects(node) -> Iterator[dict]:
    """Everything in the file's configuration that names a class or a function."""
    if isinstance(node, dict):
        if "class_name" in node:
            yield node
        # How it was compiled is neither read nor needed.
        children = [child for key, child in node.items() if key != "compile_config"]
    else:
        children = node if isinstance(node, list) else []
    for child in children:
        yield from _objects(child)


def _is_safe(item: dict) -> bool:
    name, module, registered = item["class_name"], item.get("module"), item.get("registered_name")
    inner = item.get("config")
    if name in ("Lambda", "__lambda__"):
        return False
    if name in ("__tensor__", "__numpy__", "__bytes__"):
        return True
    if name == "TFOpLambda":
        return isinstance(inner, dict) and _computes_on_tensors(inner.get("function"))
    if name == "SlicingOpLambda":
        return True
    if name == "function":
        return _is_known_function(inner) or registered in tf.keras.utils.get_custom_objects()
    if registered is not None and tf.keras.saving.get_registered_object(registered) is not None:
        return True
    return module in KERAS_MODULES


def _computes_on_tensors(function: object) -> bool:
    return isinstance(function, str) and (
        function.startswith(TENSOR_FUNCTIONS) or function in MORE_TENSOR_FUNCTIONS
    )


def _is_known_function(name: object) -> bool:
    return isinstance(name, str) and (
        name in tf.keras.utils.get_custom_objects() or hasattr(tf.keras.activations, name)
    )
