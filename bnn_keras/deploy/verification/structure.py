"""Whether a file gives its user the tensors that are compared, and computes nothing else.

A program takes what the file's graph or its signature returns. So both have to return the tensor of the
model's output; every operation has to lead to a tensor that is compared; and a name has to belong to one
tensor.
"""

import collections
from collections.abc import Iterator, Mapping

from bnn_keras.deploy.conversion.lowering import INPUT
from bnn_keras.deploy.conversion.taps import OUTPUT
from bnn_keras.deploy.verification.regions import Regions
from bnn_keras.nn.graph import Value
from bnn_keras.tflite.flatbuffer import SEPARATOR, Flatbuffer


def problems(regions: Regions, taps: Mapping[Value, str]) -> list[str]:
    """What is wrong with the structure of a file, a sentence each.

    Args:
        regions: of the model and its file.
        taps: their names.
    """
    graph, tensors = regions.graph, regions.tensors
    missing = [name for value, name in taps.items() if value not in tensors]
    if missing:
        return [f"{name}: the file has no such tensor: it is another model's" for name in missing]
    ends = _ends(regions.file, {INPUT: tensors[graph.inputs[0]]}, {OUTPUT: tensors[graph.outputs[0]]})
    return [*ends, *_names(regions.file), *_operations(regions)]


def _ends(file: Flatbuffer, taken: dict[str, int], returned: dict[str, int]) -> Iterator[str]:
    found = [list(map(int, side)) for side in (file.graph.inputs, file.graph.outputs)]
    if found != [list(taken.values()), list(returned.values())]:
        yield "the graph of the file takes or returns other tensors than those that were compared"
    signatures = [
        [{item.name.decode(): item.tensorIndex for item in side} for side in (each.inputs, each.outputs)]
        for each in file.model.signatureDefs or ()
    ]
    if signatures != [[taken, returned]]:
        yield f"the file has no single signature from {INPUT!r} to {OUTPUT!r}, the tensors that were compared"


def _names(file: Flatbuffer) -> Iterator[str]:
    names = (name for tensor in file.graph.tensors for name in tensor.name.decode().split(SEPARATOR))
    for name, number in collections.Counter(names).items():
        if number > 1:
            yield f"{number} tensors of the file have the name {name!r}"


def _operations(regions: Regions) -> Iterator[str]:
    for number, op in enumerate(regions.ops):
        if not regions.leads_to_tap(number):
            yield f"operation {number} of the file, {op.name}, leads to no tensor that was compared"
