"""PyTorch's names and layouts for the weights of Keras layers."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn.registration import traits_of
from bnn_keras.nn.traits import TorchWeight

COUNTER = "num_batches_tracked"  # of PyTorch's BatchNorms; Keras's have none


@dataclasses.dataclass(frozen=True)
class Naming:
    """The names that the authors' code has for the modules of one of our networks.

    Args:
        module: from the name of our layer to the name of the module; None if there is no such module.
        unused: pattern of the keys that are stored but never used.
        identify: from a state dict to the name of the network that has these shapes; None if no known
            network has them.
        turned: whether kernels are turned by 180 degrees (see `bnn_keras.nn.layers.Rotate180`).
        evaluated: from a key and its array to the values that the code uses in inference.
    """

    module: Callable[[str], str | None]
    identify: Callable[[Mapping[str, np.ndarray]], str | None]
    unused: re.Pattern = re.compile(r"(?!)")
    turned: bool = False
    evaluated: Callable[[str, np.ndarray], np.ndarray] = lambda key, array: array

    def knows(self, model: tf.keras.Model) -> bool:
        """Whether the naming has a module for every layer of the model with weights."""
        return all(self.module(layer.name) for layer in model.layers if layer.weights)

    def arrays(
        self, model: tf.keras.Model, state: Mapping[str, np.ndarray], path: Path, new_head: bool
    ) -> dict[str, list[np.ndarray]]:
        """Convert a state dict to the arrays of each layer of ours, by name.

        Args:
            model: the model that the arrays are for.
            state: the arrays of the checkpoint by key.
            path: of the checkpoint, for messages.
            new_head: whether the classifier, which is the model's last layer, may have other classes.

        Raises:
            UserError: a key is missing, unknown, or has another shape; the message names the first.
        """
        wanted = {
            layer.name: entries(layer, str(self.module(layer.name)))
            for layer in model.layers
            if layer.weights
        }
        head = list(wanted)[-1] if new_head else None
        self._check(model, state, wanted, path, head)
        return {
            name: [self._array(entry, state[entry.key]) for entry in of_layer]
            for name, of_layer in wanted.items()
        }

    def _check(
        self,
        model: tf.keras.Model,
        state: Mapping[str, np.ndarray],
        wanted_by_layer: Mapping[str, list["Entry"]],
        path: Path,
        head: str | None,
    ) -> None:
        wanted = {
            entry.key: (entry.shape, name) for name, of_layer in wanted_by_layer.items() for entry in of_layer
        }
        for key, (shape, name) in wanted.items():
            if key not in state:
                raise UserError(f"{path} lacks the key {key!r} of {model.name}: {self._looks(state)}.")
            found = state[key].shape
            if found != shape and not (name == head and found[1:] == shape[1:]):
                raise UserError(
                    f"{path} does not fit {model.name} at the key {key!r}: it holds {found}, "
                    f"needed is {shape}: {self._looks(state)}."
                )
        for key in state:
            if key not in wanted and not key.endswith(COUNTER) and not self.unused.fullmatch(key):
                raise UserError(
                    f"{path} has the key {key!r}, which {model.name} does not: {self._looks(state)}."
                )

    def _looks(self, state: Mapping[str, np.ndarray]) -> str:
        return f"it looks like {self.identify(state) or 'no network that is known here'}"

    def _array(self, entry: "Entry", array: np.ndarray) -> np.ndarray:
        array = self.evaluated(entry.key, array)
        if array.ndim == 4 and self.turned:
            array = array[:, :, ::-1, ::-1]
        return entry.ours(array)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A key of a state dict, the shape of its array, and the function that converts it to our layout."""

    key: str
    shape: tuple[int, ...]
    ours: Callable[[np.ndarray], np.ndarray]


def entries(layer: tf.keras.layers.Layer, module: str) -> list[Entry]:
    """The entries of a layer's weights, in their order.

    Args:
        layer: of a kind whose `Traits.torch` is known.
        module: the layer's name in the checkpoint.

    Raises:
        UserError: it is not known where PyTorch stores a weight.
    """
    known: dict[str, TorchWeight] = {}
    for part in (layer, *layer.submodules):  # a quantizer may have weights as well
        known |= traits_of(part).torch
    return [_entry(layer, weight, known, module) for weight in layer.weights]


def _entry(
    layer: tf.keras.layers.Layer, weight: tf.Variable, known: Mapping[str, TorchWeight], module: str
) -> Entry:
    name, shape = weight.name.split("/")[-1].split(":")[0], tuple(weight.shape)
    if name not in known:
        raise UserError(
            f"It is not known where a PyTorch checkpoint has the weight {name!r} of {layer.name!r}: give it "
            f"with bnn_keras.nn.register(torch=...). Received: a layer of type {type(layer).__name__}."
        )
    theirs = known[name]
    key = f"{module}.{theirs.key}" if theirs.key else module
    if theirs.axes is None:
        # Not reshape(shape): a classifier may have other classes.
        ours = (*shape[:-1], -1) if shape else ()
        return Entry(key, (shape[-1] if shape else 1,), lambda array: array.reshape(ours))
    back = np.argsort(theirs.axes)
    return Entry(key, tuple(shape[axis] for axis in theirs.axes), lambda array: array.transpose(back))
