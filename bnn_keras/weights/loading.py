"""Filling a model from a checkpoint, completely or not at all."""

import dataclasses
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf

from bnn_keras import files
from bnn_keras.errors import UserError
from bnn_keras.weights import foreign, torch_file
from bnn_keras.weights.hdf5_file import Group, read_hdf5
from bnn_keras.weights.model_file import WEIGHTS_AT_MOST, find_model, read_model

Weights = Mapping[str, list[np.ndarray]]

VALID = (
    "a run folder, a .keras file, a .weights.h5 file, an .h5 file of larq-zoo, "
    "or a PyTorch checkpoint (.pth, .pt, .pth.tar)"
)


def load(model: tf.keras.Model, path: str | os.PathLike, new_head: bool = False, note: str = "") -> str:
    """Fill `model` from a checkpoint.

    Args:
        model: a functional model. Nothing in it changes if the checkpoint does not fit.
        path: a run folder (its best weights), a .keras file, a .weights.h5 file, an .h5 file of
            larq-zoo, or a PyTorch checkpoint of a network that was published as one.
        new_head: let the classifier keep its own weights if it has another number of classes.
        note: what is known about the checkpoint, to be told with the result, good or bad.

    Returns:
        A sentence that says what was loaded, and the note.

    Raises:
        UserError: the file is missing or damaged, or holds the weights of another model; the message
            names the first key that does not fit.
    """
    try:
        sentence = _load(model, Path(path), new_head)
    except UserError as error:
        raise UserError(f"{str(error).rstrip('.')}; {note}." if note else str(error)) from error
    return f"{sentence}; {note}" if note else sentence


def _load(model: tf.keras.Model, path: Path, new_head: bool) -> str:
    if path.is_dir() or path.suffix == ".keras":
        return _fill(model, _by_layer(read_model(path)), find_model(path), new_head)
    if not path.is_file():
        raise UserError(f"No such file or folder: {path}; valid: {VALID}.")
    if path.name.endswith(".weights.h5"):
        return _fill_from_own_hdf5(model, path, new_head)
    if path.suffix == ".h5":
        return _fill(model, _read_foreign_hdf5(path), path, new_head)
    if torch_file.is_torch(path):
        return _fill_from_torch(model, path, new_head)
    raise UserError(f"Cannot read weights from {path}; valid: {VALID}.")


def _open_hdf5(path: Path) -> Group:
    return read_hdf5(files.read_bytes(path, WEIGHTS_AT_MOST), path)


def _read_foreign_hdf5(path: Path) -> Weights:
    """The weights that the first reader that knows the file finds in it."""
    file = _open_hdf5(path)
    refusal = UserError(f"{path} is an .h5 file of no code base that is known here.")
    for read in foreign.hdf5_readers:
        try:
            return read(file, path)
        except UserError as error:
            refusal = error
    raise refusal


def _fill_from_torch(model: tf.keras.Model, path: Path, new_head: bool) -> str:
    state, notes = torch_file.read_state(path)
    namings = [naming(state) for naming in foreign.torch_namings]
    known = next((naming for naming in namings if naming.knows(model)), None)
    if known is None:
        looks = next(filter(None, (naming.identify(state) for naming in namings)), "no network known here")
        raise UserError(
            f"{path} is a PyTorch checkpoint, and no such checkpoints are known of {model.name}: "
            f"it looks like {looks}."
        )
    sentence = _fill(model, known.arrays(model, state, path, new_head), path, new_head)
    return f"{sentence} ({notes})" if notes else sentence


def _by_layer(model: tf.keras.Model) -> Weights:
    return {layer.name: layer.get_weights() for layer in _weighted_layers(model)}


def _weighted_layers(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    return [layer for layer in model.layers if layer.weights]


def _fill(model: tf.keras.Model, found: Weights, path: Path, new_head: bool) -> str:
    wanted = _weighted_layers(model)
    fit = _Fit(path, new_head)
    for layer in wanted:
        if layer.name not in found:
            raise UserError(
                f"{path} holds no weights for layer {layer.name!r} of {model.name}: it is another model's."
            )
        fit.check(layer, [w.shape for w in found[layer.name]], is_last=layer is wanted[-1])
    # A model without a classifier may be filled from one with a classifier.
    spare = [name for name in found if name not in {layer.name for layer in wanted}]
    if len(spare) > 1 or (spare and spare[0] != list(found)[-1]):
        raise UserError(
            f"{path} holds weights for {spare[0]!r}, which {model.name} does not have: it is another model's."
        )
    for layer in wanted:
        if layer is not fit.head:
            layer.set_weights(found[layer.name])
    return fit.sentence()


@dataclasses.dataclass
class _Fit:
    """Whether shapes fit, except those of a classifier that may be a new one.

    Args:
        path: of the file.
        new_head: whether the classifier may be a new one.
        head: the classifier, if it is a new one.
        classes: in the file, if the classifier is a new one.
    """

    path: Path
    new_head: bool
    head: tf.keras.layers.Layer | None = None
    classes: int = 0

    def check(self, layer: tf.keras.layers.Layer, shapes: Iterable[tuple[int, ...]], is_last: bool) -> None:
        """Refuse the shapes in the file if they do not fit the layer."""
        found, wanted = [tuple(s) for s in shapes], [tuple(w.shape) for w in layer.weights]
        if found == wanted:
            return
        is_head = is_last and isinstance(layer, tf.keras.layers.Dense)
        if self.new_head and is_head and _without_classes(found) == _without_classes(wanted):
            self.head, self.classes = layer, found[0][-1]
            return
        raise UserError(
            f"{self.path} does not fit at {layer.name!r}: it holds {found}, the model needs {wanted}."
        )

    def sentence(self) -> str:
        """What was loaded."""
        head = f", with a new head (the file's has {self.classes} classes)" if self.head is not None else ""
        return f"weights from {self.path}{head}"


def _without_classes(shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [shape[:-1] for shape in shapes]


def _fill_from_own_hdf5(model: tf.keras.Model, path: Path, new_head: bool) -> str:
    """Read a .weights.h5 file: its keys are chosen by Keras, and a file of the model's own shows them."""
    found = _open_hdf5(path).all_arrays()
    fit = _Fit(path, new_head)
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "own.weights.h5"
        model.save_weights(own)
        with h5py.File(own, "r+") as file:
            _replace(_datasets(file), found, fit, _weighted_layers(model)[-1])
        model.load_weights(own)
    return fit.sentence()


def _replace(
    wanted: Mapping[str, h5py.Dataset],
    found: Mapping[str, np.ndarray],
    fit: _Fit,
    head: tf.keras.layers.Layer,
) -> None:
    for key in [*wanted, *found]:
        if key not in found or key not in wanted:
            holder = "the model" if key in wanted else fit.path
            raise UserError(f"{fit.path} is another model's: only {holder} has weights for key {key!r}.")
    for key, dataset in wanted.items():
        array = found[key]
        if array.shape == dataset.shape:
            dataset[...] = array
        elif fit.new_head and _is_of(head, dataset.shape) and _differ_in_classes(array, dataset):
            fit.head, fit.classes = head, array.shape[-1]
        else:
            raise UserError(
                f"{fit.path} does not fit at key {key!r}: it holds {array.shape}, "
                f"the model needs {dataset.shape}."
            )


def _differ_in_classes(found: np.ndarray, wanted: h5py.Dataset) -> bool:
    return found.ndim == len(wanted.shape) and found.shape[:-1] == wanted.shape[:-1]


def _is_of(layer: tf.keras.layers.Layer, shape: tuple[int, ...]) -> bool:
    return isinstance(layer, tf.keras.layers.Dense) and shape in [tuple(w.shape) for w in layer.weights]


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def visit(key: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[key] = item

    file.visititems(visit)
    return found
