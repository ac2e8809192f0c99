"""A network as plain operations with NumPy constants, which rewrites change before it is converted.

Each operation is a node that refers to those whose outputs it takes, so an operation that nothing takes any
more is no longer part of the network.

A `Tie` says how a tensor of the model follows from one of the list. Verification compares the file with the
model through these ties; a wrong tie is refused there like a wrong weight.
"""

import dataclasses
from typing import Any

import numpy as np

from bnn_keras.nn.graph import Call, Value

INPUT, LAYER, ITEM = "input", "layer", "item"
THRESHOLD = "threshold"
Shape = tuple[int | None, ...]


@dataclasses.dataclass(eq=False)
class Operation:
    """One operation with one output, except for a layer that returns several tensors.

    Args:
        kind: one of `bnn_keras.deploy.rewrite.kinds`, or "input", "layer" (a layer that stays as Keras
            computes it), "item" (one of several tensors that a layer returns).
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
