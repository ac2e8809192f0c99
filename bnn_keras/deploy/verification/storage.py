"""Whether every constant of a file belongs to a layer of its model.

A layer needs certain constants: a binary kernel as words of 32 input channels, a 32-bit kernel, one
or two numbers for each channel of a BatchNorm (`Traits.stores`). The constants of a file are attributed
to the layers that its operations compute, each to a constant that the layer needs. One that is left
over is too large, or is not of this model.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.conversion import borders
from bnn_keras.deploy.verification.binary import BinaryLayer
from bnn_keras.deploy.verification.regions import Regions
from bnn_keras.nn.graph import Call, Value
from bnn_keras.nn.registration import traits_of
from bnn_keras.tflite.flatbuffer import BCONV, KERNEL, WITH_KERNEL, Op

LARGEST_PARAMETER = 8  # integers: an axis, a shape, or paddings of four axes is no weight


@dataclasses.dataclass(frozen=True)
class Storage:
    """The bytes of a file.

    Args:
        layers: bytes of weights by the name of the layer; equal constants are stored once and count for
            the first of their layers.
        metadata: bytes of everything else: names, structure, shapes.
        problems: constants that no layer needs, in words.
        kernels: the layer whose 32-bit kernel an operation has, by its number in the file.
    """

    layers: dict[str, int]
    metadata: int
    problems: list[str]
    kernels: dict[int, str] = dataclasses.field(default_factory=dict)

    @property
    def weights(self) -> int:
        """Bytes of all weights."""
        return sum(self.layers.values())


@dataclasses.dataclass
class Need:
    """A constant that a layer needs.

    Args:
        layer: its name.
        values: the number of values that are not attributed yet; a kernel may be stored in parts.
    """

    layer: str
    values: int


def measure(
    regions: Regions,
    layers: Sequence[BinaryLayer],
    size: int,
    extra: Sequence[tuple[Call | None, int]] = (),
) -> Storage:
    """Attribute the constants of a file to the layers of its model.

    Args:
        regions: of the model and its file.
        layers: the layers that are meant to be binary.
        size: of the whole file in bytes.
        extra: what the form that the network got stores besides, numbers of values by layer call.
    """
    binary = {layer.index: layer.name for layer in layers if layer.index is not None}
    attribution = _Attribution(regions, binary, extra)
    unused = [
        f"the file stores {number:,} bytes as {name!r} that no operation takes"
        for name, number in regions.file.unused_constants().items()
    ]
    weights = {name: size for name, size in attribution.bytes.items() if size}
    metadata = size - sum(weights.values())
    return Storage(weights, metadata, attribution.problems + unused, attribution.kernels)


class _Attribution:
    """The constants of a file, and the layers that need them."""

    def __init__(
        self, regions: Regions, binary: Mapping[int, str], extra: Sequence[tuple[Call | None, int]]
    ) -> None:
        self.regions, self.file, self.binary = regions, regions.file, binary
        self.needs = {call: _needs(call, set(binary.values())) for call in regions.graph.calls}
        for call, values in extra:
            if call is not None:
                self.needs[call].append(Need(call.path, values))
        self.kernels: dict[int, str] = {}  # the layer whose kernel an operation has
        self.bytes = {call.path: 0 for call in regions.graph.calls}
        self.problems: list[str] = []
        stored: set[int] = set()
        # Large constants first: a small one could take the place of a part of a large one.
        for number, place, index in sorted(self._weights(), key=lambda item: (-self._size(item[2]), item)):
            layer = self._layer_of(number, place, index)
            if self.file.buffer_of(index) not in stored:
                stored.add(self.file.buffer_of(index))
                self.bytes[layer] = self.bytes.get(layer, 0) + self.file.constant(index).nbytes

    def _weights(self) -> Iterator[tuple[int, int, int]]:
        """The constants that are weights: number of the operation, place among its inputs, tensor."""
        for number, op in enumerate(self.regions.ops):
            for place, index in enumerate(op.inputs):
                if self.file.is_constant(index) and not self._is_parameter(op, index):
                    yield number, place, index

    def _is_parameter(self, op: Op, index: int) -> bool:
        is_integer = self.file.constant(index).dtype.kind != "f"
        return is_integer and op.name != BCONV and self._size(index) <= LARGEST_PARAMETER

    def _size(self, index: int) -> int:
        return math.prod(self.file.shape(index))

    def _layer_of(self, number: int, place: int, index: int) -> str:
        op, size = self.regions.ops[number], self._size(index)
        if place != KERNEL and op.name in WITH_KERNEL and size == self._filters(op):
            # Every convolution has a bias, a binary one a scale and a bias, or thresholds.
            known = self.binary if number in self.binary else self.kernels
            if number in known:
                return known[number]
        if place == KERNEL and number in self.binary:
            return self.binary[number]
        calls = self.regions.calls_of(number)
        fitting = [need for call in calls for need in self.needs[call] if need.values >= size]
        if fitting and op.name != BCONV:
            need = min(fitting, key=lambda need: need.values)
            need.values -= size
            if place == KERNEL:
                self.kernels[number] = need.layer
            return need.layer
        names = ", ".join(call.path for call in calls) or "no layer"
        if size > 1:
            self.problems.append(
                f"{names}: the operation {op.name} stores {self.file.constant(index).nbytes:,} bytes "
                f"({size:,} values) more than the weights of the layer explain"
            )
        return names

    def _filters(self, op: Op) -> int:
        shape = self.file.shape(op.inputs[KERNEL])
        return shape[-1] if op.name == "DEPTHWISE_CONV_2D" else shape[0]


def _needs(call: Call, binary: set[str]) -> list[Need]:
    """The constants of a layer, without the kernel if a binary convolution has it."""
    sizes = list(traits_of(call.layer).stores(call.layer))
    if call.path in binary:
        sizes.remove(math.prod(call.layer.kernel.shape))
    if borders.need_care(call):
        sizes.append(math.prod(n or 1 for n in call.outputs[0].shape))
    constants = [leaf for leaf in tf.nest.flatten((call.args, call.kwargs)) if not isinstance(leaf, Value)]
    numbers = [np.size(leaf) for leaf in constants if isinstance(leaf, ARRAYS)]
    return [Need(call.path, size) for size in (*sizes, *numbers, sum(numbers))]


ARRAYS = (int, float, np.ndarray, np.generic, tf.Tensor, tf.Variable)
