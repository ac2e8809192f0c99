"""A shift before a sum is carried past it, until it meets another shift.

(x + k) + r is (x + r) + k. So the shift of a module's last BatchNorm need not be added to the whole feature
map: it goes along the residual stream into the next module's bias before a sign, which is added in any case.
Where something takes the feature map itself, it is added there, once for all shifts so far.
"""

import numpy as np

from bnn_keras.deploy.rewrite.operations import Network, Operation
from bnn_keras.deploy.rewrite.thresholds import FUSING

NAME = "carried_shifts"
NEEDS = "a shift before a sum that another shift, a mean or another sum takes"
ABSORBING = ("shift", "add", "mean")


def apply(network: Network, runtime: str) -> int:
    """Carry shifts past sums; the number of places."""
    # A shift of a vector costs nothing to speak of, and what it is added to is compared.
    sums = [one for one in network.operations() if one.kind == "add" and tuple(one.shape[1:3]) != (1, 1)]
    return sum(_carry(network, one) for one in sums)


def _carry(network: Network, total: Operation) -> bool:
    users = network.users()
    shifts = [one for one in total.inputs if one.kind == "shift" and not _is_fused(users, one)]
    takers = list(dict.fromkeys(users[total]))
    absorbed = any(one.kind in ABSORBING and one is not total for one in takers)
    if (
        total is network.output
        or not shifts
        or not absorbed
        or any(one.channels != total.channels for one in shifts)
    ):
        return False
    carried = np.zeros(total.channels)
    for one in shifts:
        carried = carried + one.constants["shift"]
    total.inputs = [one.inputs[0] if one in shifts else one for one in total.inputs]
    network.retie(total, total, 1.0, carried)
    shifted = Operation("shift", [total], total.shape, {"shift": carried}, call=total.call)
    for taker in takers:
        network.extra.append((taker.call, total.channels))  # the constant belongs to this stage now
        _pass_on(taker, total, shifted)
    return True


def _pass_on(taker: Operation, total: Operation, shifted: Operation) -> None:
    """Let an operation take a sum without its shift, or with it."""
    carried = shifted.constants["shift"]
    if taker.kind == "shift":
        taker.constants = {"shift": taker.constants["shift"] + carried}
    elif taker.kind == "mean":
        # The operation becomes the shift, so that its users and ties keep it.
        mean = Operation("mean", [total], taker.shape, call=taker.call)
        taker.kind, taker.inputs, taker.constants = "shift", [mean], {"shift": carried}
    else:
        taker.inputs = [shifted if one is total else one for one in taker.inputs]


def _is_fused(users: dict[Operation, list[Operation]], shift: Operation) -> bool:
    """Whether the shift costs nothing, as it is a part of a convolution."""
    before = shift.inputs[0]
    before = before.inputs[0] if before.kind == "scale" else before
    return before.kind in FUSING and len(users[before]) == 1
