"""What the library has to know about a kind of layer, in one object."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bnn_keras.nn.intervals import Bound


def weight_sizes(layer: Any) -> list[int]:
    """The number of values of every weight of a layer."""
    return [math.prod(weight.shape) for weight in layer.weights]


@dataclasses.dataclass(frozen=True)
class TorchWeight:
    """How PyTorch stores a weight.

    Args:
        key: its key after the module's own; "" if the module is the weight.
        axes: of our array in the order of theirs; None if it is a vector there, whatever its
            shape here, such as [1, 1, channels].
    """

    key: str
    axes: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Traits:
    """What the library has to know about a kind of layer.

    Args:
        bound: what the layer rounds off, a function of `bnn_keras.nn.bounds` or a similar one. Without
            it a converted file cannot be verified.
        moves: the layer only moves values, drops some, or takes the largest of some: signs stay signs.
        elementwise: the layer works element by element: it costs no operations by the papers' rules.
        passes_signs: LCE computes only signs between a binary convolution and a sign if all layers
            between them have this trait.
        fuses: the converter may make the layer a part of the operation before it.
        vanishes: the converter may make the layer a part of the operation after it, or no operation.
        idle: the layer passes its input on outside of training, so that it is left out of a file.
        stores: the numbers of values in the constants that the layer needs in a file; one for each
            weight if not given.
        torch: for each weight, by its name, where a PyTorch checkpoint has it.
    """

    bound: Bound | None = None
    moves: bool = False
    elementwise: bool = False
    passes_signs: bool = False
    fuses: bool = False
    vanishes: bool = False
    idle: bool = False
    stores: Callable[[Any], Sequence[int]] = weight_sizes
    torch: Mapping[str, TorchWeight] = dataclasses.field(default_factory=dict)
