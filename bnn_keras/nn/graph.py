"""A Keras model as a flat list of layer calls, for counting, conversion and verification.

A shared layer appears once for each call, a nested model as its layers.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn.binary import is_one_bit
from bnn_keras.nn.registration import traits_of


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """A tensor between layers; equal to itself only.

    Args:
        shape: with the batch dimension, None where unknown.
        tensor: the Keras tensor, or None for the inside of a nested model.
    """

    shape: tuple[int | None, ...]
    tensor: Any = None


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of one layer.

    Args:
        layer: the Keras layer.
        args, kwargs: what it was called with, every tensor replaced by its `Value`.
        inputs: the values among them.
        outputs: the values that it returned.
        path: the layer's name, after the names of the nested models that contain it.
    """

    layer: tf.keras.layers.Layer
    args: Any
    kwargs: Any
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    path: str

    @property
    def stage(self) -> str:
        """The stage that the layer belongs to: its name up to the first slash."""
        return self.path.split("/")[0]


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """The calls of a model, each after those that it depends on."""

    calls: tuple[Call, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def consumers(self, value: Value) -> list[Call]:
        """The calls that take `value`."""
        return [call for call in self.calls if value in call.inputs]

    def producer(self, value: Value) -> Call | None:
        """The call that computes `value`; None for an input of the model."""
        return next((call for call in self.calls if value in call.outputs), None)


def read_graph(model: tf.keras.Model) -> Graph:
    """Read a functional or sequential model.

    Raises:
        UserError: it is a subclassed model, which has no graph of layers, or was never built.
    """
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise UserError(
            f"Model {model.name!r} has no graph of layers: build it as a functional or sequential model "
            f"with an input shape. Received: {type(model).__name__}."
        )
    inputs = [Value(tuple(t.shape), t) for t in model.inputs]
    calls: list[Call] = []
    outputs = _unfold(model, inputs, "", calls)
    return Graph(tuple(calls), tuple(inputs), tuple(outputs))


def run_graph(
    graph: Graph, feed: dict[Value, Any], compute: Callable[[Call, Callable[[Any], Any]], Any]
) -> dict[Value, Any]:
    """Compute every value, call by call.

    Args:
        graph: of a model.
        feed: the values of its inputs.
        compute: takes a call and a function that fills values into its `args` or `kwargs`; returns the
            outputs of the layer.
    """
    values = dict(feed)

    def fill(structure: Any) -> Any:
        return tf.nest.map_structure(
            lambda leaf: values[leaf] if isinstance(leaf, Value) else leaf, structure
        )

    for call in graph.calls:
        values.update(zip(call.outputs, tf.nest.flatten(compute(call, fill)), strict=True))
    return values


def infer_shapes(
    graph: Graph, input_shape: tuple[int | None, ...] | None = None
) -> dict[Value, tuple[int | None, ...]]:
    """The shape of every value, with the batch dimension; None where a trial call leaves it open as well.

    Args:
        graph: of a model.
        input_shape: of the model's only input without the batch, in place of its own.

    Raises:
        UserError: the model can't take `input_shape`.
    """
    given = _input_shapes(graph, input_shape)
    values = (*graph.inputs, *(value for call in graph.calls for value in call.outputs))
    if input_shape is None and all(v.tensor is not None and None not in v.shape[1:] for v in values):
        return {value: value.shape for value in values}
    # The tensors of a nested model do not know the image size that it is called with: a trial call does.
    found: dict[Value, tuple[int | None, ...]] = {}

    @tf.function
    def trial(*tensors: tf.Tensor) -> None:
        feed = dict(zip(graph.inputs, tensors, strict=True))
        results = run_graph(graph, feed, lambda call, fill: call.layer(*fill(call.args), **fill(call.kwargs)))
        found.update((value, tuple(tensor.shape)) for value, tensor in results.items())

    trial.get_concrete_function(*(tf.TensorSpec(given[value], value.tensor.dtype) for value in graph.inputs))
    return found


def one_bit_values(graph: Graph) -> set[Value]:
    """The values that hold two numbers only."""
    found: set[Value] = set()
    for call in graph.calls:
        moved = traits_of(call.layer).moves and found.issuperset(call.inputs)
        # A quantizer is a layer itself, or the activation of one.
        if moved or is_one_bit(call.layer) or is_one_bit(getattr(call.layer, "activation", None)):
            found.update(call.outputs)
    return found


def _input_shapes(
    graph: Graph, input_shape: tuple[int | None, ...] | None
) -> dict[Value, tuple[int | None, ...]]:
    if input_shape is None:
        return {value: value.shape for value in graph.inputs}
    own = graph.inputs[0].shape
    wanted = (None, *input_shape)
    if (
        len(graph.inputs) > 1
        or len(wanted) != len(own)
        or any(a not in (None, b) for a, b in zip(own, wanted, strict=True))
    ):
        received = [value.shape[1:] for value in graph.inputs]
        raise UserError(
            f"input_shape fills in what a model's only input leaves open. Received: {tuple(input_shape)} "
            f"for {', '.join(map(str, received))}."
        )
    return {graph.inputs[0]: wanted}


def _unfold(model: tf.keras.Model, inputs: list[Value], prefix: str, calls: list[Call]) -> list[Value]:
    # By identity, as Keras compares symbolic tensors element by element.
    known = {id(t): value for t, value in zip(model.inputs, inputs, strict=True)}
    for layer, node in _nodes_in_order(model):
        args, kwargs = tf.nest.map_structure(
            lambda leaf: known.get(id(leaf), leaf), (node.call_args, node.call_kwargs)
        )
        found = tuple(leaf for leaf in tf.nest.flatten((args, kwargs)) if isinstance(leaf, Value))
        produced = tf.nest.flatten(node.outputs)
        if isinstance(layer, tf.keras.Model) and getattr(layer, "inputs", None):
            outputs = _unfold(layer, list(found), f"{prefix}{layer.name}/", calls)
        else:
            outputs = [Value(tuple(t.shape), None if prefix else t) for t in produced]
            calls.append(Call(layer, args, kwargs, found, tuple(outputs), prefix + layer.name))
        known.update((id(t), value) for t, value in zip(produced, outputs, strict=True))
    return [known[id(t)] for t in model.outputs]


def _nodes_in_order(model: tf.keras.Model) -> Iterator[tuple[Any, Any]]:
    """The nodes between the model's inputs and outputs, each after those that it depends on."""
    nodes = {
        id(tensor): (layer, node)
        for layer in model.layers
        for node in layer.inbound_nodes
        for tensor in tf.nest.flatten(node.outputs)
    }
    done = {id(t) for t in model.inputs}
    stack = [(tensor, False) for tensor in reversed(model.outputs)]
    while stack:
        tensor, ready = stack.pop()
        if id(tensor) in done:
            continue
        layer, node = nodes[id(tensor)]
        if ready:
            done.update(id(t) for t in tf.nest.flatten(node.outputs))
            yield layer, node
        else:
            stack.append((tensor, True))
            stack.extend((t, False) for t in reversed(node.keras_inputs))
