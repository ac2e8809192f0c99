"""Which operations of a file compute which layers of its model.

The taps divide both into regions: an operation or a layer belongs to the taps that its outputs lead to
without passing another one. No operation extends over a tap, so the operations of a region compute
just its layers.
"""

from collections.abc import Mapping

from bnn_keras.nn.graph import Call, Graph, Value
from bnn_keras.tflite.flatbuffer import Flatbuffer, Op


class Regions:
    """The regions of a file and its model.

    Args:
        graph: of the model.
        file: that was converted from it.
        tensors: the tensors of the file that are taps, and its input.
    """

    def __init__(self, graph: Graph, file: Flatbuffer, tensors: Mapping[Value, int]) -> None:
        self.graph, self.file, self.ops = graph, file, file.ops
        self.tensors = tensors
        self._of_ops = _of_ops(self.ops, set(tensors.values()))
        self._of_calls = _of_calls(graph, tensors)

    def calls_of(self, number: int) -> list[Call]:
        """The layer calls in the regions of an operation, by its number in the file."""
        return [call for call, taps in self._of_calls.items() if not taps.isdisjoint(self._of_ops[number])]

    def ops_of(self, call: Call) -> list[int]:
        """The operations in the regions of a layer call."""
        return self.ops_to(self._of_calls[call])

    def leads_to_tap(self, number: int) -> bool:
        """Whether an operation belongs to a region."""
        return bool(self._of_ops[number])

    def ops_to(self, taps: set[int]) -> list[int]:
        """The operations in the regions of taps, by their tensors."""
        return [number for number, reached in enumerate(self._of_ops) if not taps.isdisjoint(reached)]

    def taken_for(self, tap: int) -> set[int]:
        """The taps that the operations in the region of a tap take."""
        inputs = {index for number in self.ops_to({tap}) for index in self.ops[number].inputs}
        return inputs & set(self.tensors.values())


def _of_ops(ops: list[Op], taps: set[int]) -> list[set[int]]:
    reached: dict[int, set[int]] = {}  # the taps that a tensor leads to
    found: list[set[int]] = []
    for op in reversed(ops):
        found.append(set().union(*({out} if out in taps else reached.get(out, set()) for out in op.outputs)))
        for index in op.inputs:
            reached[index] = reached.get(index, set()) | found[-1]
    return found[::-1]


def _of_calls(graph: Graph, tensors: Mapping[Value, int]) -> dict[Call, set[int]]:
    reached: dict[Value, set[int]] = {}
    found: dict[Call, set[int]] = {}
    for call in reversed(graph.calls):
        found[call] = set().union(
            *({tensors[out]} if out in tensors else reached.get(out, set()) for out in call.outputs)
        )
        for value in call.inputs:
            reached[value] = reached.get(value, set()) | found[call]
    return dict(reversed(found.items()))
