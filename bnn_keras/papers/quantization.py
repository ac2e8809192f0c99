"""The settings of post-training quantization that BNext's Table 7 compares.

Table 7 gives bits for the first layer, the squeezing and the expanding layers of the branches, and the output
layer (I-S-E-O, W/A). The paper's other tables use the second of its settings. The released code keeps 8/8 for
BNext-18's downsampling convolutions. Other networks have no such branches: there the bits of the two layers
are those of the first and of the further transitions.
"""

from collections.abc import Collection

from bnn_keras.nn.parts import BRANCH, HEAD, PARTS, STEM, TRANSITION
from bnn_keras.settings.quantization import Plan

EIGHT = "8/8"
# Of the squeezing and the expanding layers; the first and the output layer have 8/8 in all of them.
BRANCHES = ("8/8-8/8", "4/8-4/8", "4/8-4/4", "4/4-4/4")
# Top-1 accuracy on ImageNet in percent, in 32 bits and with each of these.
ACCURACIES = {
    "bnext18": (68.37, 68.38, 67.94, 67.91, 67.29),
    "bnext_t": (72.36, 72.36, 72.04, 71.95, 71.72),
    "bnext_s": (76.06, 76.05, 75.75, 75.61, 75.50),
    "bnext_m": (78.27, 78.11, 77.97, 77.93, 77.79),
    "bnext_l": (80.57, 80.47, 80.37, 80.26, 79.52),
}
# Of Table 2's rows with a dagger and of Table 1.
PUBLISHED = Plan({STEM: EIGHT, BRANCH: BRANCHES[1], TRANSITION: EIGHT, HEAD: EIGHT})


def plans(parts: Collection[str]) -> list[Plan]:
    """The settings of the table for a network.

    Args:
        parts: that the network has, of `bnn_keras.nn.parts.PARTS`.
    """
    lowered = BRANCH if BRANCH in parts else TRANSITION
    found = [{STEM: EIGHT, TRANSITION: EIGHT, HEAD: EIGHT, lowered: bits} for bits in BRANCHES]
    return [Plan({part: each[part] for part in PARTS if part in parts}) for each in found]
