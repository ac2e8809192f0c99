"""Grouped convolutions in the form that is cheap for the runtime.

XNNPACK has a kernel for them; TFLite's own kernels do not, so there each group is a convolution. These cost
least if each group of one convolution goes on to the next without being joined and split again. Where two
groups of narrow channels take fewer instructions as one, with zeros in its kernel, they are one.
"""

import numpy as np

from bnn_keras.accounting.cost.unit_costs import FLOAT, TABLE
from bnn_keras.deploy.rewrite.operations import ITEM, Network, Operation
from bnn_keras.settings.runtime import LCE_XNNPACK

NAME = "groups"
NEEDS = "grouped convolutions"
PAIRED = (4, 8, 16, 32, 64)  # groups that can be joined in pairs, and leave some
BETWEEN = ("scale", "shift", "relu")  # operations that work on each channel by itself


def apply(network: Network, runtime: str) -> int:
    """Choose the form of grouped convolutions; the number of places."""
    grouped = [one for one in network.operations() if one.kind == "grouped_conv"]
    if runtime == LCE_XNNPACK:
        for one in grouped:
            one.settings = {**one.settings, "native": True}
        return len(grouped)
    for one in grouped:
        _merge(network, one)
    return len(grouped) if any([_side_by_side(network, one) for one in grouped]) else 0


def _merge(network: Network, conv: Operation) -> None:
    """Join groups as long as this lowers the number of instructions."""
    groups, kernel = conv.settings["groups"], conv.constants["kernel"]
    while groups in PAIRED and _instructions(kernel, groups, 2) < _instructions(kernel, groups, 1):
        kernel, groups = _pairs(kernel, groups), groups // 2
    if groups == conv.settings["groups"]:
        return
    network.extra.append((conv.call, kernel.size))
    conv.settings = {**conv.settings, "groups": groups}
    conv.constants = {"kernel": kernel}


def _instructions(kernel: np.ndarray, groups: int, joined: int) -> float:
    """For one pixel, by the table of unit costs; of `joined` groups as one."""
    height, width, channels, filters = kernel.shape
    outputs, channels, groups = filters // groups * joined, channels * joined, groups // joined
    costs = {unit: cost.tflite for unit, cost in TABLE["CONV_2D", FLOAT].items()}
    rows = {unit: cost.tflite for unit, cost in TABLE["SPLIT of many", FLOAT].items()}
    patch = height * width * channels
    of_group = (costs["MAC"] * outputs + costs["patch element"]) * patch + costs["patch row"] * height
    return groups * (of_group + 2 * rows["row"])


def _pairs(kernel: np.ndarray, groups: int) -> np.ndarray:
    """The kernel with two groups as one, which have zeros between them."""
    height, width, channels, filters = kernel.shape
    wide = np.zeros((height, width, 2 * channels, filters))
    size = filters // groups
    for group in range(groups):
        first = channels * (group % 2)
        outputs = slice(group * size, (group + 1) * size)
        wide[:, :, first : first + channels, outputs] = kernel[..., outputs]
    return wide


def _side_by_side(network: Network, first: Operation) -> bool:
    """Compute the groups of a convolution, and what follows, beside each other as far as possible."""
    users, groups = network.users(), first.settings["groups"]
    if first not in users:  # part of another one's groups by now
        return False
    chain = [first]
    while len(users[chain[-1]]) == 1 and (follower := users[chain[-1]][0]) is not chain[-1]:
        fits = follower.kind == "grouped_conv" and follower.settings["groups"] == groups
        if not (fits or follower.kind in BETWEEN):
            break
        chain.append(follower)
    split = Operation("split", first.inputs, first.inputs[0].shape, settings={"groups": groups})
    parts = []
    for group in range(groups):
        shape = (*first.inputs[0].shape[:-1], first.inputs[0].channels // groups)
        part = Operation(ITEM, [split], shape, settings={"number": group})
        for one in chain:
            part = _part(one, part, group, groups)
        parts.append(part)
    # The last operation becomes the one that joins, so that its users and ties keep it.
    end = chain[-1]
    end.kind, end.inputs, end.constants, end.settings = "concat", parts, {}, {}
    return True


def _part(one: Operation, taken: Operation, group: int, groups: int) -> Operation:
    """One group of an operation."""
    size = one.channels // groups
    own = slice(group * size, (group + 1) * size)
    constants = {
        key: np.broadcast_to(value, (*value.shape[:-1], one.channels))[..., own]
        for key, value in one.constants.items()
    }
    settings = {key: value for key, value in one.settings.items() if key != "groups"}
    kind = "conv" if one.kind == "grouped_conv" else one.kind
    return Operation(kind, [taken], (*one.shape[:-1], size), constants, settings, one.call)
