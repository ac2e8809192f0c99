"""A scale of channels becomes a part of the convolution that follows.

The convolution may follow at once, or after operations that a scale passes: shifts, which are divided by it,
poolings, ReLU and PReLU, the last ones if it is positive.
"""

import numpy as np

from bnn_keras.deploy.rewrite.operations import Network, Operation
from bnn_keras.deploy.rewrite.thresholds import FUSING

NAME = "scales"
NEEDS = "a scale of channels that leads to 32-bit convolutions only"
LARGEST = 2.0**20  # shift divided by a scale
PASSING = ("shift", "reverse", "average_pool")  # scales of both signs
PASSING_POSITIVE = ("relu", "prelu", "max_pool")
CONVOLUTIONS = ("conv", "grouped_conv")


def apply(network: Network, runtime: str) -> int:
    """Move scales into convolutions; the number of places."""
    count = 0
    for scaled in [one for one in network.operations() if one.kind == "scale"]:
        users, x = network.users(), scaled.inputs[0]
        is_fused = x.kind in FUSING and len(users[x]) == 1
        scale = np.broadcast_to(scaled.constants["scale"], (scaled.channels,))
        if is_fused or not users[scaled] or not _may_pass(users, scaled, scale, network.output):
            continue
        takers = users[scaled]
        for taker in takers:
            taker.inputs = [x if one is scaled else one for one in taker.inputs]
        network.retie(scaled, x, scale)
        for taker in dict.fromkeys(takers):
            _pass(network, users, taker, scale)
        count += 1
    return count


def _may_pass(
    users: dict[Operation, list[Operation]], operation: Operation, scale: np.ndarray, output: Operation
) -> bool:
    """Whether all that takes an operation leads to convolutions."""
    for taker in users[operation]:
        if taker is output:
            return False
        if taker.kind in CONVOLUTIONS:
            continue
        is_small = taker.kind != "shift" or _is_divisible(taker.constants["shift"], scale)
        passes = taker.kind in PASSING or (taker.kind in PASSING_POSITIVE and (scale > 0).all())
        if not (passes and is_small and _may_pass(users, taker, scale, output)):
            return False
    return bool(users[operation])


def _is_divisible(shift: np.ndarray, scale: np.ndarray) -> bool:
    with np.errstate(divide="ignore", invalid="ignore"):
        return bool((np.abs(shift / scale) <= LARGEST).all())


def _pass(
    network: Network, users: dict[Operation, list[Operation]], operation: Operation, scale: np.ndarray
) -> None:
    """Let an operation take what is not scaled, up to the convolutions."""
    if operation.kind in CONVOLUTIONS:
        kernel = operation.constants["kernel"]
        operation.constants = {"kernel": kernel * _of_kernel(scale, kernel.shape)}
        return
    if operation.kind == "shift":
        operation.constants = {"shift": operation.constants["shift"] / scale}
    network.retie(operation, operation, scale)
    for taker in dict.fromkeys(users[operation]):
        _pass(network, users, taker, scale)


def _of_kernel(scale: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The scales of the weights of a kernel, [height, width, input channels of a group, outputs]."""
    groups = scale.size // shape[2]
    return np.repeat(scale.reshape(groups, shape[2]).T, shape[3] // groups, axis=1)
