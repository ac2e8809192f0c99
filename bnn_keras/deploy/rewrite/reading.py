"""From the graph of a model to plain operations.

Layers without a reader stay layers: they are converted as Keras computes them, and no rewrite touches them.
"""

from typing import Any

from bnn_keras.deploy.rewrite.operations import INPUT, ITEM, LAYER, Network, Operation, Tie
from bnn_keras.deploy.rewrite.readers import READERS
from bnn_keras.nn.graph import Call, Graph, Value, infer_shapes


def read(graph: Graph) -> Network:
    """The operations of a model, in the form that computes what the layers compute, one after another.

    Args:
        graph: of a model with one input and one output.
    """
    shapes = infer_shapes(graph)
    image = Operation(INPUT, [], shapes[graph.inputs[0]])
    made = {graph.inputs[0]: image}
    for call in graph.calls:
        taken = [made[value] for value in call.inputs]
        reader = READERS.get(type(call.layer))
        built = reader(call, taken, shapes[call.outputs[0]]) if reader and _is_plain(call) else None
        if built is not None and _is_nothing(built, taken):
            made[call.outputs[0]] = taken[0]
        elif built is not None:
            _name(built, taken, call)
            made[call.outputs[0]] = built
        else:
            made.update(_as_layer(call, taken, shapes))
    ties = {value: Tie(operation) for value, operation in made.items()}
    return Network(image, made[graph.outputs[0]], ties)


def _name(built: Operation, taken: list[Operation], call: Call) -> None:
    """Note the layer of the operations that it became."""
    left = [built]
    while left:
        operation = left.pop()
        operation.call = call
        left += [one for one in operation.inputs if one not in taken]


def _is_nothing(built: Operation, taken: list[Operation]) -> bool:
    """Whether this is an addition of zeros, such as a bias at the start of training: the file has none."""
    return built.kind == "shift" and built.inputs == taken and not built.constants["shift"].any()


def _is_plain(call: Call) -> bool:
    """Whether a layer was called with tensors alone, and works on channels that are the last axis."""
    channels_last = getattr(call.layer, "data_format", "channels_last") in (None, "channels_last")
    return len(call.outputs) == 1 and not call.kwargs and channels_last and len(call.outputs[0].shape) == 4


def _as_layer(call: Call, taken: list[Operation], shapes: dict[Value, Any]) -> dict[Value, Operation]:
    whole = Operation(LAYER, taken, shapes[call.outputs[0]], call=call)
    if len(call.outputs) == 1:
        return {call.outputs[0]: whole}
    return {
        value: Operation(ITEM, [whole], shapes[value], settings={"number": number})
        for number, value in enumerate(call.outputs)
    }
