"""Which operations of a file can be computed in integers, and which of them together.

Convolutions and dense layers with constant kernels can. What only moves values after them (poolings of
maxima, joining, splitting) is computed in integers as well, so that a chain is quantized once at its start
and turned into floats once at its end.
"""

import collections
from collections.abc import Collection, Iterable

import numpy as np

from bnn_keras.tflite.flatbuffer import KERNEL, Flatbuffer, Op
from bnn_keras.tflite.int8 import BIAS, WITH_INTEGER_KERNEL

MOVING = ("CONCATENATION", "MAX_POOL_2D", "RESHAPE", "SPLIT")
NO_ACTIVATION = 0


class Chains:
    """The operations of a float file that can be integers.

    Args:
        file: in float.
        exact: numbers of operations that must stay as they are: in a portable file a binary convolution has a
            second kernel, in 32 bits, for its borders.

    Attributes:
        kernels: numbers of the convolutions and dense layers.
        chains: sets of operations that hand integers on to one another, movers among them.
        same_scale: sets of tensors that must have one scale.
    """

    def __init__(self, file: Flatbuffer, exact: Collection[int] = ()) -> None:
        self.file, self.ops = file, file.ops
        self.kernels = {n for n, op in enumerate(self.ops) if n not in exact and self._has_kernel(op)}
        self._producers = {index: number for number, op in enumerate(self.ops) for index in op.outputs}
        integer = self._with_movers(self.kernels)
        links = [
            (number, self._producers[i])
            for number in integer
            for i in self.taken(number)
            if self._producers.get(i) in integer
        ]
        self.chains = _joined(integer, links)
        movers = integer - self.kernels
        pairs = [(a, b) for number in movers for a in self.taken(number) for b in self.ops[number].outputs]
        self.same_scale = _joined({i for pair in pairs for i in pair}, pairs)

    def taken(self, number: int) -> list[int]:
        """The activations that an operation takes."""
        op = self.ops[number]
        places = op.inputs[:1] if number in self.kernels else op.inputs
        return [index for index in places if index >= 0 and not self.file.is_constant(index)]

    def is_made_in_chain(self, tensor: int) -> bool:
        """Whether an operation gives a tensor that can be computed in integers."""
        return any(self._producers.get(tensor) in chain for chain in self.chains)

    def activations(self, numbers: Iterable[int]) -> list[int]:
        """The tensors that these operations take and give."""
        chosen = [(*self.taken(number), *self.ops[number].outputs) for number in numbers]
        return sorted({index for some in chosen for index in some})

    def _has_kernel(self, op: Op) -> bool:
        if op.name not in WITH_INTEGER_KERNEL or self.file.is_constant(op.inputs[0]):
            return False
        bias = op.inputs[BIAS] if len(op.inputs) > BIAS else -1
        constants = [op.inputs[KERNEL], *([bias] if bias >= 0 else [])]
        return all(self.file.is_constant(i) and self.file.constant(i).dtype == np.float32 for i in constants)

    def _with_movers(self, kernels: set[int]) -> set[int]:
        users = collections.defaultdict(set)
        for number, op in enumerate(self.ops):
            for index in op.inputs:
                users[index].add(number)
        outputs = set(map(int, self.file.graph.outputs))
        found = set(kernels)
        for number, op in enumerate(self.ops):  # in the order of execution
            taken = self.taken(number)
            follows = bool(taken) and all(self._producers.get(index) in found for index in taken)
            alone = all(users[index] == {number} and index not in outputs for index in taken)
            if op.name in MOVING and follows and alone and not self._has_activation(number):
                found.add(number)
        return found

    def _has_activation(self, number: int) -> bool:
        options = self.file.graph.operators[number].builtinOptions
        return getattr(options, "fusedActivationFunction", NO_ACTIVATION) != NO_ACTIVATION


def _joined(items: Iterable[int], links: Iterable[tuple[int, int]]) -> list[set[int]]:
    """The sets of items that links connect, in the order of their smallest ones."""
    sets = {item: {item} for item in items}
    for a, b in links:
        if sets[a] is not sets[b]:
            sets[a] |= sets[b]
            for item in sets[b]:
                sets[item] = sets[a]
    unique = {id(some): some for some in sets.values()}
    return sorted(unique.values(), key=min)
