"""A section of a feature map is kept with one of its thresholds added, which costs nothing.

A section comes from a convolution, or from a sum with one. A number for each channel that is added there
becomes a part of the convolution. So one of the section's thresholds is added there: the signs after it
need no addition, and other thresholds are differences. Where the section is added to another output of a
convolution, that one takes the number off again; where it is joined and shifted, the shift does.
"""

import functools
from collections.abc import Callable

import numpy as np

from bnn_keras.deploy.rewrite.computing import round_up
from bnn_keras.deploy.rewrite.operations import THRESHOLD, Network, Operation
from bnn_keras.deploy.rewrite.thresholds import FUSING

NAME = "free_thresholds"
NEEDS = "a threshold after a 32-bit or binary convolution, or after a sum with one"
Users = dict[Operation, list[Operation]]
POOLINGS = ("max_pool", "average_pool")
# Times the usual threshold. One farther off belongs to a channel whose sign hardly changes; the channel's
# values would lose too many digits if it was added to them.
FARTHEST = 64.0


def apply(network: Network, runtime: str) -> int:
    """Add thresholds to sections; the number of places."""
    sections = [one for one in network.operations() if one.kind in (*FUSING, "add", "shift")]
    return sum(_keep_with_threshold(network, section) for section in sections)


def _keep_with_threshold(network: Network, section: Operation) -> bool:
    users = network.users()
    if section not in users or section is network.output:
        return False
    thresholds = [one for one in users[section] if one.kind == THRESHOLD]
    others = [one for one in users[section] if one.kind != THRESHOLD]
    add = _adder(network, users, section)
    corrections = [_correction(network, users, section, one) for one in dict.fromkeys(others)]
    if not thresholds or add is None or None in corrections:
        return False
    free = thresholds[0]
    value = np.broadcast_to(free.constants[THRESHOLD], (section.channels,))
    if np.abs(value).max() > FARTHEST * np.median(np.abs(value)):
        return False
    for taker in users[free]:  # before one of them becomes a shift after itself
        taker.inputs = [section if one is free else one for one in taker.inputs]
    add(-value)
    for correct in corrections:
        if correct is not None:
            correct(value)
    for threshold in thresholds[1:]:
        before = threshold.constants[THRESHOLD]
        threshold.constants = {THRESHOLD: before - value}
        network.retie(threshold, threshold, 1.0, _stored(before - value) + value - _stored(before))
    network.retie(free, section, 1.0, value - _stored(value))
    return True


def _stored(threshold: np.ndarray) -> np.ndarray:
    """As the file stores it: ties to thresholds are exact for these numbers."""
    return round_up(threshold, np.float32)


def _adder(network: Network, users: Users, section: Operation) -> Callable[[np.ndarray], None] | None:
    """A function that adds numbers to an operation's output for nothing; None if there is none."""
    add: Callable[[np.ndarray], None] | None = None
    if section.kind in FUSING:
        add = functools.partial(_shift_after, section)
    if section.kind == "shift" and section.inputs[0].kind in (*FUSING, "scale"):
        inner = section.inputs[0]
        conv = inner.inputs[0] if inner.kind == "scale" else inner
        if conv.kind in FUSING and len(users[conv]) == len(users[inner]) == 1:
            add = functools.partial(_change_shift, section)
    if section.kind == "add":
        adders = [_adder(network, users, one) for one in section.inputs if len(users[one]) == 1]
        add = next((one for one in adders if one is not None), None)
    if add is None:
        return None
    found = add

    def add_and_retie(value: np.ndarray) -> None:
        found(value)
        network.retie(section, section, 1.0, -value)

    return add_and_retie


def _shift_after(conv: Operation, value: np.ndarray) -> None:
    """Put a shift after an operation; it is the one that the users take."""
    inner = Operation(conv.kind, conv.inputs, conv.shape, conv.constants, conv.settings, conv.call)
    conv.kind, conv.inputs, conv.constants, conv.settings = "shift", [inner], {"shift": value}, {}


def _change_shift(shift: Operation, value: np.ndarray) -> None:
    shift.constants = {"shift": shift.constants["shift"] + value}


def _correction(
    network: Network, users: Users, section: Operation, taker: Operation
) -> Callable[[np.ndarray], None] | None:
    """A function that makes a taker of the section compute what it computed before numbers were taken off."""
    if taker is section:
        return None
    if taker.kind == "add" and taker.inputs.count(section) == 1:
        for one in taker.inputs:
            if one is not section and len(users[one]) == 1:
                add = _adder(network, users, one)
                if add is not None:
                    return add
        return None
    if taker.kind == "concat" and taker.inputs.count(section) == 1:
        return _joined_correction(network, users, section, taker)
    if taker.kind in POOLINGS and len(users[taker]) == 1 and users[taker][0].kind == "concat":
        return _joined_correction(network, users, taker, users[taker][0])
    return None


def _joined_correction(
    network: Network, users: Users, section: Operation, join: Operation
) -> Callable[[np.ndarray], None] | None:
    """The same for a feature map that is joined, perhaps pooled, and shifted."""
    path = [join]
    while len(users[path[-1]]) == 1 and users[path[-1]][0].kind in POOLINGS:
        path.append(users[path[-1]][0])
    if len(users[path[-1]]) != 1 or (shift := users[path[-1]][0]).kind != "shift":
        return None
    place = join.inputs.index(section)
    start = sum(one.channels for one in join.inputs[:place])

    def correct(value: np.ndarray) -> None:
        whole = np.zeros(join.channels)
        whole[start : start + section.channels] = value
        for one in path:
            network.retie(one, one, 1.0, whole)
        _change_shift(shift, whole)

    return correct
