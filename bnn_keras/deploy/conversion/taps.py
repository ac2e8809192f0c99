"""The tensors at which a file is compared with its model: the taps.

A tap is a value between layers that is a tensor of the file in any case, so that nothing stays unfused
for the sake of the comparison. During conversion every tap is an output of the traced function. Where
an operation vanishes, such as the addition of zeros, several taps are one tensor of the file.
"""

from collections.abc import Collection, Mapping

import larq as lq
import tensorflow as tf

from bnn_keras.deploy.rewrite.operations import Network
from bnn_keras.nn.graph import Call, Graph, Value
from bnn_keras.nn.registration import is_function, traits_of

OUTPUT = "output"


def find_taps(graph: Graph, alone: Collection[Call] = ()) -> dict[Value, str]:
    """The taps of a model with their names; the first one is its output.

    They are the ends of stages, the values that several layers take, the inputs of signs, and all other
    values that no operation absorbs. These are all but those that are fused into a neighbouring
    operation, and those between a binary convolution and a sign, where LCE may compute signs only.

    Args:
        graph: of the model.
        alone: calls that get a stage of their own: all that they take and give is a tap.
    """
    found = {graph.outputs[0]: OUTPUT}
    ends = {value for call in alone for value in (*call.inputs, *call.outputs)}
    stages = {call.stage for call in graph.calls if "/" in call.path}
    for call in graph.calls:
        for value in call.outputs:
            if value in found or (value not in ends and _is_between_signs(graph, value)):
                continue
            if (
                value in ends
                or call.path in stages
                or len(graph.consumers(value)) > 1
                or _stands_alone(graph, call, value)
            ):
                found[value] = _new_name(call.path, found)
    return found


def tied_taps(network: Network, taps: Mapping[Value, str]) -> dict[Value, str]:
    """The taps that are tied to a tensor in the form that the network has."""
    alive = network.alive()
    return {value: name for value, name in taps.items() if value in alive}


def _new_name(name: str, found: dict[Value, str]) -> str:
    while name in found.values():  # a layer that is called more than once
        name += "'"
    return name


def _stands_alone(graph: Graph, call: Call, value: Value) -> bool:
    takers = [taker.layer for taker in graph.consumers(value)]
    # Which operations a TensorFlow function becomes is not known. A quantizer is a layer.
    functions = any(is_function(layer) for layer in (call.layer, *takers))
    fused = any(traits_of(layer).fuses for layer in takers)
    absorbed = traits_of(call.layer).vanishes or isinstance(call.layer, lq.quantizers.Quantizer)
    return not (functions or fused or absorbed)


def _is_between_signs(graph: Graph, value: Value) -> bool:
    producer = graph.producer(value)
    while producer is not None and traits_of(producer.layer).passes_signs:
        producer = graph.producer(producer.inputs[0])
    if producer is None or getattr(producer.layer, "kernel_quantizer", None) is None:
        return False
    takers = graph.consumers(value)
    while takers:
        if any(_takes_signs(taker.layer) for taker in takers):
            return True
        passed = [taker for taker in takers if traits_of(taker.layer).passes_signs]
        takers = [more for taker in passed for more in graph.consumers(taker.outputs[0])]
    return False


def _takes_signs(layer: tf.keras.layers.Layer) -> bool:
    return isinstance(layer, lq.quantizers.Quantizer) or getattr(layer, "input_quantizer", None) is not None
