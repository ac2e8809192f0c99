"""Feature maps are joined after a pooling, when they are a quarter as large.

A pooling works on each channel by itself, so it works on the sections of a feature map as well. It is moved
before the joining if then nothing takes the whole feature map any more.
"""

from bnn_keras.deploy.rewrite.operations import Network, Operation
from bnn_keras.settings.runtime import LCE, LCE_XNNPACK

NAME = "late_joins"
NEEDS = "a joined feature map that only poolings take as numbers"
# TFLite's own poolings start anew for each pixel, which costs more in several sections than one joining does.
POOLINGS = {LCE: ("average_pool",), LCE_XNNPACK: ("average_pool", "max_pool")}


def apply(network: Network, runtime: str) -> int:
    """Move poolings before the joining; the number of places."""
    count = 0
    for join in [one for one in network.operations() if one.kind == "concat"]:
        takers = network.users().get(join, [])
        if takers and all(taker.kind in POOLINGS[runtime] for taker in takers):
            for taker in takers:
                _work_on_parts(taker)
            count += 1
    return count


def _work_on_parts(operation: Operation) -> None:
    """Let an operation work on the sections; it becomes the one that joins, so that its users keep it."""
    parts, end = [], 0
    for part in operation.inputs[0].inputs:
        own = slice(end, end + part.channels)
        constants = {key: value[own] for key, value in operation.constants.items()}
        shape = (*operation.shape[:-1], part.channels)
        parts.append(Operation(operation.kind, [part], shape, constants, operation.settings, operation.call))
        end += part.channels
    operation.kind, operation.inputs, operation.constants, operation.settings = "concat", parts, {}, {}
