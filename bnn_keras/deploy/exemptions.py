"""Layers that a user leaves unchecked, because no bound of their rounding is known.

Only the outputs of these layers are not compared. The layers before and after them are, with the file's own
values at both sides.
"""

from collections.abc import Sequence
from typing import Any

from bnn_keras.errors import UserError
from bnn_keras.nn.binary import kernel_quantizer
from bnn_keras.nn.graph import Call, Graph


def exempt(graph: Graph, names: Sequence[str]) -> set[Call]:
    """The calls of the layers that are left unchecked.

    Args:
        graph: of the model.
        names: of the layers, also of those in nested models ("inner/layer").

    Raises:
        UserError: there is no such layer, or it is binary.
    """
    found = set()
    for name in names:
        calls = [call for call in graph.calls if name in (call.path, call.layer.name)]
        if not calls:
            raise UserError(
                f"--unchecked={name}: the model has no layer of this name; bnn summary lists the layers."
            )
        if any(map(_is_binary, calls)):
            raise UserError(f"--unchecked={name}: a layer with binary weights or inputs is always checked.")
        found.update(calls)
    return found


def _is_binary(call: Call) -> bool:
    layer: Any = call.layer
    return kernel_quantizer(layer) is not None or getattr(layer, "input_quantizer", None) is not None


def needless(call: Call) -> UserError:
    """The refusal to leave a layer unchecked that can be checked."""
    return UserError(
        f"--unchecked={call.layer.name}: the rounding of this layer has a known bound, so it is checked; "
        f"leave the flag out."
    )
