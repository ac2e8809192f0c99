"""Means over the image that follow from means that are known.

The mean is linear: that of a sum is the sum of the means, that of a feature map times a vector is its mean
times the vector. So after a module of BNext the mean of its output follows from small vectors, and no feature
map has to be read again for it.
"""

from bnn_keras.deploy.rewrite.operations import Network, Operation

NAME = "means"
NEEDS = "means over the image of sums, or of products with vectors, whose means are computed too"
CHANNELWISE = ("shift", "scale")


def apply(network: Network, runtime: str) -> int:
    """Replace means; the number of places."""
    count = 0
    known: dict[Operation, Operation] = {}
    for mean in [one for one in network.operations() if one.kind == "mean"]:
        x = mean.inputs[0]
        if x not in known:
            known[x] = mean
            if _replace(network, mean, x, known):
                count += 1
    return count


def _replace(network: Network, mean: Operation, x: Operation, known: dict[Operation, Operation]) -> bool:
    others = {operation: found for operation, found in known.items() if operation is not x}
    new = _mean_of(network, x, mean, others)
    if new is None:
        return False
    # This operation becomes the last one of the new ones, so that its users and ties keep it.
    mean.kind, mean.inputs, mean.constants, mean.settings = new.kind, new.inputs, new.constants, new.settings
    return True


def _mean_of(
    network: Network, x: Operation, mean: Operation, known: dict[Operation, Operation]
) -> Operation | None:
    """An operation with the mean of x, from known means; None if there is no such one."""
    if x in known:
        return known[x]
    shape = (x.shape[0], 1, 1, x.channels)
    if x.kind in ("add", "concat"):
        found = [_mean_of(network, one, mean, known) for one in x.inputs]
        parts = [one for one in found if one is not None]
        return Operation(x.kind, parts, shape) if len(parts) == len(found) else None
    if x.kind in CHANNELWISE:
        inner = _mean_of(network, x.inputs[0], mean, known)
        if inner is None:
            return None
        network.extra.append((mean.call, x.channels))  # the constant is stored for this stage too
        return Operation(x.kind, [inner], shape, x.constants, x.settings, x.call)
    if x.kind == "multiply" and len(x.inputs) == 2:
        vectors = [one for one in x.inputs if tuple(one.shape[1:3]) == (1, 1)]
        maps = [one for one in x.inputs if one not in vectors]
        inner = _mean_of(network, maps[0], mean, known) if len(vectors) == len(maps) == 1 else None
        return None if inner is None else Operation("multiply", [inner, vectors[0]], shape)
    return None
