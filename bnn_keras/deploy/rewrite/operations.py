"""A network as plain operations with NumPy constants, which rewrites change before it is converted.

Each operation is a node that refers to those whose outputs it takes, so an operation that nothing takes any
more is no longer part of the network. The same list is computed in float64, which tests compare with the
model, and traced in float32 for the converter.

A `Tie` says how a tensor of the model follows from one of the list. Verification compares the file with the
model through these ties; a wrong tie is refused there like a wrong weight.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import larq as lq
import numpy as np
import tensorflow as tf

from bnn_keras.nn.graph import Call, Value

INPUT, LAYER, ITEM = "input", "layer", "item"
THRESHOLD = "threshold"
Shape = tuple[int | None, ...]


@dataclasses.dataclass(eq=False)
class Operation:
    """One operation with one output, except for a layer that returns several tensors.

    Args:
        kind: a key of `KINDS`, or "input", "layer" (a layer that stays as Keras computes it), "item" (one of
            several tensors that a layer returns).
        inputs: the operations whose outputs it takes.
        shape: of its output, with the batch dimension.
        constants: float64 arrays.
        settings: everything else that it needs.
        call: of a layer.
    """

    kind: str
    inputs: list["Operation"]
    shape: Shape
    constants: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    call: Call | None = None

    @property
    def channels(self) -> int:
        """Of its output."""
        return int(self.shape[-1] or 0)


@dataclasses.dataclass(frozen=True)
class Tie:
    """A tensor of the model is `scale * output + shift` of an operation, exactly.

    Args:
        operation: of the list.
        scale, shift: a number for each channel, or one for all.
    """

    operation: Operation
    scale: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(1))
    shift: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(1))

    @property
    def is_identity(self) -> bool:
        """Whether the tensor of the model is the output itself."""
        return bool((self.scale == 1).all() and (self.shift == 0).all())


@dataclasses.dataclass
class Network:
    """The operations of a model.

    Args:
        image: the input.
        output: the last operation.
        ties: of the tensors of the model.
        extra: constants that a form stores for a layer besides those that it needs: numbers of values.
    """

    image: Operation
    output: Operation
    ties: dict[Value, Tie]
    extra: list[tuple[Call | None, int]] = dataclasses.field(default_factory=list)

    def operations(self) -> list[Operation]:
        """All operations that the output needs, each after those that it takes; the input is the first."""
        found: dict[Operation, None] = {self.image: None}
        stack = [(self.output, False)]
        while stack:
            operation, ready = stack.pop()
            if operation in found:
                continue
            if ready:
                found[operation] = None
            else:
                stack.append((operation, True))
                stack.extend((one, False) for one in reversed(operation.inputs))
        return list(found)

    def users(self) -> dict[Operation, list[Operation]]:
        """The operations that take the output of each one; the network's output has one more, itself."""
        users: dict[Operation, list[Operation]] = {operation: [] for operation in self.operations()}
        for operation in users:
            for taken in operation.inputs:
                users[taken].append(operation)
        users[self.output].append(self.output)
        return users

    def alive(self) -> dict[Value, Tie]:
        """The ties to operations that are still part of the network."""
        operations = set(self.operations())
        return {value: tie for value, tie in self.ties.items() if tie.operation in operations}

    def retie(self, old: Operation, new: Operation, scale: Any = 1.0, shift: Any = 0.0) -> None:
        """Tie what was tied to `old` to `new`, of which `old` is scale * new + shift."""
        for value, tie in list(self.ties.items()):
            if tie.operation is old:
                self.ties[value] = Tie(new, tie.scale * scale, tie.scale * shift + tie.shift)

    def untie(self, operation: Operation) -> None:
        """Tie nothing to an operation any more."""
        self.ties = {value: tie for value, tie in self.ties.items() if tie.operation is not operation}


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


def _shift(x: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    return x + shift


def _threshold(x: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Not negative where x is no smaller than the threshold. An addition costs less than a subtraction."""
    return x + (-threshold)


def _split(x: tf.Tensor, groups: int) -> list[tf.Tensor]:
    return tf.split(x, groups, axis=-1)


def _scale(x: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    return x * scale


def _row_shift(x: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
    """The shifts of all channels and pixels of a row, [width * channels], added to each row of an image."""
    shape = x.shape.as_list()
    rows = tf.reshape(x, [-1, shape[1], shape[2] * shape[3]])
    return tf.reshape(rows + row, [-1, *shape[1:]])


def _conv(x: tf.Tensor, kernel: tf.Tensor, strides: Any, padding: str, dilations: Any) -> tf.Tensor:
    return tf.nn.conv2d(x, kernel, strides, padding, dilations=dilations)


def _grouped_conv(
    x: tf.Tensor,
    kernel: tf.Tensor,
    groups: int,
    strides: Any,
    padding: str,
    dilations: Any,
    native: bool = False,
) -> tf.Tensor:
    if native and x.dtype == tf.float32:  # TensorFlow has no kernel for it, so it is only converted
        return tf.nn.conv2d(x, kernel, strides, padding, dilations=dilations)
    parts = zip(tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    return tf.concat([_conv(one, part, strides, padding, dilations) for one, part in parts], axis=-1)


def _binary_conv(x: tf.Tensor, kernel: tf.Tensor, strides: Any, padding: str, dilations: Any) -> tf.Tensor:
    """The convolution of the signs of x with signs."""
    # As in the quantizers: LCE knows it in this form.
    return tf.nn.conv2d(lq.math.sign(x), kernel, strides, padding, dilations=dilations)


def _prelu(x: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    slopes = tf.reshape(-alpha, [1, 1, -1])
    return tf.nn.relu(x) + slopes * tf.nn.relu(-x)  # as Keras: the converter knows it in this form


def _add(*terms: tf.Tensor) -> tf.Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _multiply(*factors: tf.Tensor) -> tf.Tensor:
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return product


def _concat(*parts: tf.Tensor) -> tf.Tensor:
    return tf.concat(parts, axis=-1)


def _mean(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(x, [1, 2], keepdims=True)


def _reverse(x: tf.Tensor) -> tf.Tensor:
    return tf.reverse(x, axis=[1, 2])


def _max_pool(x: tf.Tensor, size: Any, strides: Any, padding: str) -> tf.Tensor:
    return tf.nn.max_pool2d(x, size, strides, padding)


def _average_pool(x: tf.Tensor, size: Any, strides: Any, padding: str) -> tf.Tensor:
    return tf.nn.avg_pool2d(x, size, strides, padding)


def _average_conv(x: tf.Tensor, size: Any, strides: Any, padding: str) -> tf.Tensor:
    """Average pooling as a depthwise convolution, which is cheaper; windows lie within the image."""
    kernel = tf.fill([*size, x.shape[-1], 1], tf.constant(1 / (size[0] * size[1]), x.dtype))
    return tf.nn.depthwise_conv2d(x, kernel, [1, *strides, 1], padding)


KINDS: dict[str, Callable[..., tf.Tensor]] = {
    "shift": _shift,
    "row_shift": _row_shift,
    THRESHOLD: _threshold,
    "split": _split,
    "scale": _scale,
    "conv": _conv,
    "grouped_conv": _grouped_conv,
    "binary_conv": _binary_conv,
    "relu": tf.nn.relu,
    "prelu": _prelu,
    "add": _add,
    "multiply": _multiply,
    "concat": _concat,
    "mean": _mean,
    "reverse": _reverse,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "average_conv": _average_conv,
}
