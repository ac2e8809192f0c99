"""A product plus one of its factors is one product: x * r + r is (x + 1) * r.

XNNPACK adds a number to a feature map in fewer instructions than another feature map. In BNext, r is the
residual that an attention module multiplies with as well.
"""

import tensorflow as tf

from bnn_keras.deploy.rewrite.kinds import kind
from bnn_keras.deploy.rewrite.operations import Network, Operation
from bnn_keras.settings.runtime import LCE_XNNPACK

NAME = "common_factors"
NEEDS = "XNNPACK, and a sum of a product with one of its factors"
INCREMENT = "increment"
Users = dict[Operation, list[Operation]]


def apply(network: Network, runtime: str) -> int:
    """Factor sums; the number of places."""
    if runtime != LCE_XNNPACK:
        return 0
    users = network.users()
    return sum(_factor(users, one) for one in users if one.kind == "add" and len(one.inputs) == 2)


def _factor(users: Users, total: Operation) -> bool:
    """Let a sum become a product, with a shift after it where there was one after the product."""
    for term, factor in (total.inputs, total.inputs[::-1]):
        product = term.inputs[0] if term.kind == "shift" and users[term] == [total] else term
        taker = total if product is term else term
        is_product = product.kind == "multiply" and users[product] == [taker]
        others = [one for one in product.inputs if one is not factor]
        if not is_product or len(product.inputs) != 2 or len(others) != 1:
            continue
        increased = Operation(INCREMENT, others, others[0].shape, call=product.call)
        factored = [increased, factor]
        if product is term:
            total.kind, total.inputs = "multiply", factored
        else:
            inner = Operation("multiply", factored, total.shape, call=product.call)
            total.kind, total.inputs, total.constants = "shift", [inner], term.constants
        return True
    return False


@kind(INCREMENT)
def _increment(x: tf.Tensor) -> tf.Tensor:
    return x + 1.0
