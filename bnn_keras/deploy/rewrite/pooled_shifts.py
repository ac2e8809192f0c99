"""A shift before a pooling is added after it, to a quarter of the values."""

from bnn_keras.deploy.rewrite.operations import Network, Operation

NAME = "pooled_shifts"
NEEDS = "a shift, such as a BatchNorm's, that only a pooling takes"
POOLINGS = ("max_pool", "average_pool")


def apply(network: Network, runtime: str) -> int:
    """Exchange shifts and poolings; the number of places."""
    users = network.users()
    count = 0
    for pool in [one for one in users if one.kind in POOLINGS]:
        shift = pool.inputs[0]
        if shift.kind != "shift" or users[shift] != [pool] or pool is network.output:
            continue
        x, added = shift.inputs[0], shift.constants["shift"]
        pooled = Operation(pool.kind, [x], pool.shape, settings=pool.settings, call=pool.call)
        # The operation after the pooling becomes the one that adds, so that its users keep it.
        pool.kind, pool.inputs, pool.settings = "shift", [pooled], {}
        pool.constants = {"shift": added}
        network.retie(shift, x, 1.0, added)
        network.retie(pool, pooled, 1.0, added)
        # The constant belongs to the stage of what follows now.
        network.extra += [(taker.call, pool.channels) for taker in users[pool]]
        count += 1
    return count
