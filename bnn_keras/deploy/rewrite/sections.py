"""Thresholds before a sign are added to the sections of a feature map, before these are joined.

A feature map that grows from block to block is joined again and again, and copied each time. The threshold
of each section is added to the section itself instead; so only what a binary convolution takes is joined,
and that as bits (`bnn_keras.tflite.flatbuffer.Flatbuffer.quantize_before_joining`). What is still joined as
numbers is joined once, from all its sections.
"""

import numpy as np

from bnn_keras.deploy.rewrite.late_joins import POOLINGS
from bnn_keras.deploy.rewrite.operations import THRESHOLD, Network, Operation

NAME = "sections"
NEEDS = "signs of a feature map that is joined from parts of 32, 64, ... channels"
WORD = 32  # channels that are packed into one word
Users = dict[Operation, list[Operation]]


def apply(network: Network, runtime: str) -> int:
    """Move thresholds before the joining; the number of places."""
    users = network.users()
    count = 0
    for threshold in [one for one in users if _is_threshold(users, one)]:
        joined = threshold.inputs[0]
        if joined.kind != "concat" or not _need_not_be_joined(users, joined, POOLINGS[runtime]):
            continue
        parts = _parts(joined)
        if any(part.channels % WORD for part in parts):
            continue
        network.untie(threshold)  # in the file it is not joined as numbers
        (key, values), *_ = threshold.constants.items()
        # The old operation becomes the one that joins, so that its users keep it.
        threshold.inputs = _add_to_parts(
            threshold, key, np.broadcast_to(values, (threshold.channels,)), parts
        )
        threshold.kind, threshold.constants = "concat", {}
        count += 1
    return count + _flatten(network)


def _is_threshold(users: Users, operation: Operation) -> bool:
    takers = users.get(operation, [])
    return operation.kind in (THRESHOLD, "shift") and all(one.kind == "binary_conv" for one in takers)


def _need_not_be_joined(users: Users, joined: Operation, poolings: tuple[str, ...]) -> bool:
    """Whether everything that takes a feature map could take its sections."""
    return all(
        one.kind == "concat" or _is_threshold(users, one) or one.kind in poolings for one in users[joined]
    )


def _add_to_parts(
    threshold: Operation, key: str, values: np.ndarray, parts: list[Operation]
) -> list[Operation]:
    ends = np.cumsum([part.channels for part in parts])
    return [
        Operation(
            threshold.kind, [part], part.shape, {key: values[end - part.channels : end]}, call=threshold.call
        )
        for part, end in zip(parts, ends, strict=True)
    ]


def _flatten(network: Network) -> int:
    """Join from all sections what is joined from feature maps that nothing else takes."""
    users = network.users()
    count = 0
    for join in [one for one in users if one.kind == "concat"]:
        inputs = [
            part
            for one in join.inputs
            for part in (one.inputs if one.kind == "concat" and users[one] == [join] else [one])
        ]
        count += len(inputs) > len(join.inputs)
        join.inputs = inputs
    return count


def _parts(joined: Operation) -> list[Operation]:
    """The sections of a feature map that was joined in several steps."""
    if joined.kind != "concat":
        return [joined]
    return [part for one in joined.inputs for part in _parts(one)]
