"""Filling a model from a checkpoint, completely or not at all."""

import dataclasses
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.weights import foreign, torch_file
from bnn_keras.weights.model_file import find_model, read_model

VALID = (
    "a run folder, a .keras file, a .weights.h5 file, an .h5 file of larq-zoo, "
    "or a PyTorch checkpoint (.pth, .pt, .pth.tar)"
)


def load(model: tf.keras.Model, path: str | os.PathLike, new_head: bool = False) -> str:
    """Fill `model` from a checkpoint.

    Args:
        model: a functional model; nothing in it changes if the checkpoint does not fit.
        path: a run folder (its best weights), a .keras file, a .weights.h5 file, an .h5 file of
            larq-zoo, or a PyTorch checkpoint of a network that has been published so.
        new_head: the classifier keeps its own weights if its number of classes is another one.

    Returns:
        A sentence that says what was loaded.

    Raises:
        UserError: a missing or damaged file, or weights of another model; it names the first key
            that does not fit.
    """
    path = Path(path)
    if path.is_dir() or path.suffix == ".keras":
        return _fill(model, _by_layer(read_model(path)), find_model(path), new_head)
    if not path.is_file():
        raise UserError(f"No such file or folder: {path}; valid: {VALID}.")
    if path.name.endswith(".weights.h5"):
        return _fill_from_template(model, path, new_head)
    if path.suffix == ".h5":
        with _open(path) as file:
            return _fill(model, _read_hdf5(file, path), path, new_head)
    if torch_file.is_torch(path):
        return _fill_from_torch(model, path, new_head)
    raise UserError(f"Cannot read weights from {path}; valid: {VALID}.")


def _read_hdf5(file: h5py.File, path: Path) -> dict[str, list[np.ndarray]]:
    """The weights that the first reader that knows the file finds in it."""
    refusal = UserError(f"{path} is an .h5 file, and no code base whose .h5 files are read here is known.")
    for read in foreign.hdf5_readers:
        try:
            return read(file, path)
        except UserError as error:
            refusal = error
    raise refusal


def _fill_from_torch(model: tf.keras.Model, path: Path, new_head: bool) -> str:
    state, notes = torch_file.read(path)
    namings = [naming(state) for naming in foreign.torch_namings]
    known = next((naming for naming in namings if naming.knows(model)), None)
    if known is None:
        looks = next(filter(None, (naming.identify(state) for naming in namings)), "nothing known here")
        raise UserError(
            f"{path} is a PyTorch checkpoint, and none is read for {model.name}: it looks like {looks}."
        )
    sentence = _fill(model, known.arrays(model, state, path, new_head), path, new_head)
    return f"{sentence} ({notes})" if notes else sentence


def _by_layer(model: tf.keras.Model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in _weighted(model)}


def _weighted(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    return [layer for layer in model.layers if layer.weights]


def _fill(model: tf.keras.Model, found: Mapping[str, list[np.ndarray]], path: Path, new_head: bool) -> str:
    wanted = _weighted(model)
    fits = _Fit(path, new_head)
    for layer in wanted:
        if layer.name not in found:
            raise UserError(
                f"{path} holds no weights for layer {layer.name!r} of {model.name}: it is another model's."
            )
        fits.check(layer, [w.shape for w in found[layer.name]], last=layer is wanted[-1])
    # A model without its classifier may be filled from one with it.
    spare = [name for name in found if name not in {layer.name for layer in wanted}]
    if len(spare) > 1 or (spare and spare[0] != list(found)[-1]):
        raise UserError(
            f"{path} holds weights for {spare[0]!r}, which {model.name} does not have: it is another model's."
        )
    for layer in wanted:
        if layer is not fits.head:
            layer.set_weights(found[layer.name])
    return fits.sentence()


@dataclasses.dataclass
class _Fit:
    """Whether shapes fit, but for a classifier that may be a new one."""

    path: Path
    new_head: bool
    head: tf.keras.layers.Layer | None = None
    classes: int = 0

    def check(self, layer: tf.keras.layers.Layer, shapes: Iterable[tuple[int, ...]], last: bool) -> None:
        found, wanted = [tuple(s) for s in shapes], [tuple(w.shape) for w in layer.weights]
        if found == wanted:
            return
        if (
            self.new_head
            and last
            and isinstance(layer, tf.keras.layers.Dense)
            and _but_for_classes(found, wanted)
        ):
            self.head, self.classes = layer, found[0][-1]
            return
        raise UserError(
            f"{self.path} does not fit at {layer.name!r}: it holds {found}, the model needs {wanted}."
        )

    def sentence(self) -> str:
        head = f", with a new head (the file's has {self.classes} classes)" if self.head is not None else ""
        return f"weights from {self.path}{head}"


def _but_for_classes(found: list[tuple[int, ...]], wanted: list[tuple[int, ...]]) -> bool:
    return [s[:-1] for s in found] == [s[:-1] for s in wanted]


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path)
    except OSError as error:
        raise UserError(f"{path} is not a whole HDF5 file: {error}.") from error


def _fill_from_template(model: tf.keras.Model, path: Path, new_head: bool) -> str:
    """Read a .weights.h5 file, whose keys Keras chooses: the model's own file shows them."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "own.weights.h5"
        model.save_weights(own)
        with h5py.File(own, "r+") as template, _open(path) as file:
            wanted, found = _datasets(template), _datasets(file)
            for key in [*wanted, *found]:
                if key not in found or key not in wanted:
                    holder = "the model" if key in wanted else path
                    raise UserError(f"{path} is another model's: only {holder} has weights for key {key!r}.")
            fits = _Fit(path, new_head)
            head = _weighted(model)[-1]
            for key, dataset in wanted.items():
                if found[key].shape == dataset.shape:
                    dataset[...] = found[key][...]
                elif not (
                    new_head and _is_of(head, dataset.shape) and found[key].shape[:-1] == dataset.shape[:-1]
                ):
                    raise UserError(
                        f"{path} does not fit at key {key!r}: it holds {found[key].shape}, "
                        f"the model needs {dataset.shape}."
                    )
                else:
                    fits.head, fits.classes = head, found[key].shape[-1]
        model.load_weights(own)
        return fits.sentence()


def _is_of(layer: tf.keras.layers.Layer, shape: tuple[int, ...]) -> bool:
    return isinstance(layer, tf.keras.layers.Dense) and shape in [tuple(w.shape) for w in layer.weights]


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}
    file.visititems(
        lambda key, item: found.__setitem__(key, item) if isinstance(item, h5py.Dataset) else None
    )
    return found
