"""The values of all operations of a network, in float64 or float32.

The same function computes a network in float64, which tests compare with the model, and is traced in float32
for the converter.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.rewrite.kinds import KINDS
from bnn_keras.deploy.rewrite.operations import ITEM, LAYER, THRESHOLD, Network, Operation
from bnn_keras.nn.graph import Call, Value


def compute(
    network: Network, image: tf.Tensor, call_layer: Callable[[Call, Callable[[Any], Any]], Any]
) -> dict[Operation, tf.Tensor]:
    """Compute the outputs of all operations.

    Args:
        network: the list.
        image: [batch, height, width, channels]; everything is computed in its type.
        call_layer: calls a layer: takes its call, and a function that fills values into the arguments.
    """
    outputs: dict[Operation, Any] = {network.image: image}
    for operation in network.operations()[1:]:
        taken = [outputs[one] for one in operation.inputs]
        outputs[operation] = _compute(operation, taken, image.dtype, call_layer)
    return outputs


def _compute(operation: Operation, taken: list[Any], kind: tf.DType, call_layer: Callable) -> Any:
    if operation.kind == LAYER:
        return call_layer(*_filled(operation, taken))
    if operation.kind == ITEM:
        return tf.nest.flatten(taken[0])[operation.settings["number"]]
    constants = {key: _constant(key, value, kind) for key, value in operation.constants.items()}
    # The tensors of the file have the names of their layers.
    with tf.name_scope(operation.call.path if operation.call else operation.kind):
        return KINDS[operation.kind](*taken, **constants, **operation.settings)


def _constant(key: str, value: np.ndarray, kind: tf.DType) -> tf.Tensor:
    rounded = round_up(value, kind.as_numpy_dtype) if key == THRESHOLD else value
    return tf.constant(rounded, kind)


def round_up(values: np.ndarray, kind: Any) -> np.ndarray:
    """The smallest numbers of a type that are no smaller, as float64."""
    nearest = values.astype(kind)
    with np.errstate(over="ignore"):
        larger = np.nextafter(nearest, np.asarray(np.inf, kind))
    return np.where(nearest < values, larger, nearest).astype(np.float64)


def _filled(operation: Operation, taken: list[Any]) -> tuple[Call, Callable[[Any], Any]]:
    call = operation.call
    if call is None:
        raise ValueError("a layer without its call")
    values = dict(zip(call.inputs, taken, strict=True))

    def fill(structure: Any) -> Any:
        return tf.nest.map_structure(
            lambda leaf: values[leaf] if isinstance(leaf, Value) else leaf, structure
        )

    return call, fill
