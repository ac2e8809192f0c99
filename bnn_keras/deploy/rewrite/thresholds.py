"""BatchNorm before a sign: one addition for each channel.

sign(scale * x + shift) is the sign of x - t with the threshold t = -shift / scale where the scale is
positive, and its opposite where it is negative. There the signs of the kernel's input channel are turned
instead, which is exact for a convolution that pads with 0. A value at exactly t has the sign +1 in the
model: where the scale is negative, the threshold is the next larger number.
"""

import numpy as np

from bnn_keras.deploy.rewrite.computing import round_up
from bnn_keras.deploy.rewrite.operations import Network, Operation

NAME = "thresholds"
NEEDS = "a BatchNorm without scales of 0 that only binary convolutions take"
# A larger threshold belongs to a channel whose sign no value changes; the values could hide behind it.
LARGEST = 2.0**20
FUSING = ("conv", "grouped_conv", "binary_conv")  # the converter makes a BatchNorm a part of these


def apply(network: Network, runtime: str) -> int:
    """Replace scale and shift before binary convolutions; the number of places."""
    users = network.users()
    count = 0
    for shift in [one for one in users if one.kind == "shift" and one.inputs[0].kind == "scale"]:
        takers, scaled = users[shift], shift.inputs[0]
        is_fused = scaled.inputs[0].kind in FUSING and len(users[scaled.inputs[0]]) == 1
        if all(one.kind == "binary_conv" for one in takers) and users[scaled] == [shift] and not is_fused:
            count += _replace(network, shift, scaled, takers)
    return count


def _replace(network: Network, shift: Operation, scaled: Operation, takers: list[Operation]) -> int:
    scale, added = np.broadcast_arrays(scaled.constants["scale"], shift.constants["shift"])
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = -added / scale
    if not (np.abs(exact) <= LARGEST).all():
        return 0
    threshold = np.where(scale < 0, np.nextafter(exact, np.inf), exact)
    moved = Operation("threshold", scaled.inputs, shift.shape, {"threshold": threshold}, call=shift.call)
    # The file stores the next float32 number, as its values are float32 numbers.
    network.retie(shift, moved, scale, scale * (round_up(threshold, np.float32) - exact))
    turn = np.where(scale < 0, -1.0, 1.0)[:, None]
    for taker in takers:
        taker.inputs = [moved]
        taker.constants = {"kernel": taker.constants["kernel"] * turn}
    return 1
