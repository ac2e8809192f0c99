"""The scale of a BatchNorm after a product with an attention vector becomes a part of the vector.

scale * (a * y) is (scale * a) * y: the vector has one value for each channel, the product one for each pixel.
"""

import numpy as np

from bnn_keras.deploy.rewrite.operations import Network, Operation

NAME = "recouplings"
NEEDS = "a BatchNorm after a product with a vector that nothing else takes"


def apply(network: Network, runtime: str) -> int:
    """Move scales into vectors; the number of places."""
    users = network.users()
    count = 0
    for scaled in [one for one in users if one.kind == "scale"]:
        path = _path(users, scaled.inputs[0])
        if not path:
            continue
        product, scale = scaled.inputs[0], scaled.constants["scale"]
        last = path[-1]
        place = next(i for i, one in enumerate(last.inputs) if _is_vector(one))
        vector = last.inputs[place]
        inputs = list(last.inputs)
        inputs[place] = Operation("scale", [vector], vector.shape, {"scale": scale}, call=scaled.call)
        last.inputs = inputs
        network.extra.append((last.call, scale.size))  # the constant may belong to this stage now
        with np.errstate(divide="ignore"):
            inverse = 1 / np.broadcast_to(scale, (scaled.channels,))
        for one in path:  # no longer what the model computes there
            if np.isfinite(inverse).all():
                network.retie(one, one, inverse)
            else:
                network.untie(one)
        network.retie(scaled, product)
        for taker in users[scaled]:
            taker.inputs = [product if one is scaled else one for one in taker.inputs]
        count += 1
    return count


def _path(users: dict[Operation, list[Operation]], product: Operation) -> list[Operation]:
    """The products from this one to the one with the vector, none of which anything else takes."""
    path: list[Operation] = []
    while product.kind == "multiply" and len(users[product]) == 1 and not _is_vector(product):
        path.append(product)
        if any(map(_is_vector, product.inputs)):
            return path
        inner = [one for one in product.inputs if one.kind == "multiply"]
        if len(inner) != 1:
            return []
        product = inner[0]
    return []


def _is_vector(operation: Operation) -> bool:
    return tuple(operation.shape[1:3]) == (1, 1)
