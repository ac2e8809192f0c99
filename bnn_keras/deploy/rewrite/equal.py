"""Operations that compute the same, which the converter makes one operation of the file.

A rewrite may make an operation that no tensor of the model is tied to, such as a threshold of one section. If
another operation with a tie is its equal, the file has one tensor for both, and a stage would take a tap that
its layers do not. So that tie is dropped: the stages grow past it.
"""

from collections.abc import Hashable

import numpy as np

from bnn_keras.deploy.rewrite.computing import round_up
from bnn_keras.deploy.rewrite.operations import ITEM, LAYER, THRESHOLD, Network, Operation


def untie_equal(network: Network) -> None:
    """Drop the ties of operations that have an equal without one."""
    same: dict[Hashable, list[Operation]] = {}
    first: dict[Operation, Operation] = {}
    for operation in network.operations():
        equal = same.setdefault(_key(operation, first), [])
        equal.append(operation)
        first[operation] = equal[0]
    tied = {tie.operation for tie in network.alive().values()}
    for equal in same.values():
        if not tied.issuperset(equal):
            for operation in equal:
                if operation is not network.output:
                    network.untie(operation)


def _key(operation: Operation, first: dict[Operation, Operation]) -> Hashable:
    if operation.kind in (LAYER, ITEM) or not operation.inputs:
        return id(operation)
    constants = tuple((name, _stored(name, value)) for name, value in sorted(operation.constants.items()))
    inputs = tuple(id(first[one]) for one in operation.inputs)
    return operation.kind, inputs, constants, repr(sorted(operation.settings.items()))


def _stored(name: str, value: np.ndarray) -> bytes:
    """A constant as the file has it."""
    return (round_up(value, np.float32) if name == THRESHOLD else value).astype(np.float32).tobytes()
