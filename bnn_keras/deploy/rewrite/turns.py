"""The turn of an image by 180 degrees also turns the order of its channels.

Then the whole image is one run of values, which is copied from its end to its start; otherwise each pixel is
copied by itself. The convolution that follows has its input channels in the new order.
"""

import tensorflow as tf

from bnn_keras.deploy.rewrite.kinds import kind
from bnn_keras.deploy.rewrite.operations import Network

NAME = "turns"
NEEDS = "a turn by 180 degrees of fewer than 8 channels that only 32-bit convolutions take"
TURN = "turn"
FEW = 8  # channels


def apply(network: Network, runtime: str) -> int:
    """Turn channels as well; the number of places."""
    users = network.users()
    count = 0
    for turn in [one for one in users if one.kind == "reverse" and one.channels < FEW]:
        takers = list(dict.fromkeys(users[turn]))
        if any(taker.kind != "conv" for taker in takers):
            continue
        network.untie(turn)  # its channels have another order in the model
        turn.kind = TURN
        for taker in takers:
            taker.constants = {"kernel": taker.constants["kernel"][:, :, ::-1]}
        count += 1
    return count


@kind(TURN)
def _turn(x: tf.Tensor) -> tf.Tensor:
    return tf.reverse(x, axis=[1, 2, 3])
