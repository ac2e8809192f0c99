"""Size and operations of a network whose 32-bit parts are quantized, as BNext's Table 2 counts them.

QOPs are the multiply-accumulates of the quantized layers, in 4 or 8 bits. Eight of them take the time of one
operation in 32 bits (BNext's released code), so OPs = FLOPs + QOPs / 8 + BOPs / 64. Each weight of a
quantized kernel takes its bits; biases, BatchNorm and all other weights stay in 32 bits.
"""

import dataclasses
import math

from bnn_keras.accounting.counting import BOPS_PER_OP, Profile, Row
from bnn_keras.nn.binary import FLOAT_BITS
from bnn_keras.settings.quantization import FLOAT, Bits, Plan

QOPS_PER_OP = 8


@dataclasses.dataclass(frozen=True)
class Quantized:
    """What a network costs with a plan.

    Args:
        size_mib: of the weights.
        qops: multiply-accumulates of the quantized layers.
        ops: all operations.
    """

    size_mib: float
    qops: int
    ops: float


def quantized(profile: Profile, plan: Plan) -> Quantized:
    """Count a network with quantized parts.

    Args:
        profile: of the network; BNext's tables count dense layers too (`profile(model, dense=True)`).
        plan: the bits of each part.
    """
    rows = [(row, plan.bits_of(row.part, row.place)) for row in profile.rows if row.part]
    bits = sum(row.bits for row in profile.rows)
    bits -= sum(kernel_weights(row) * (FLOAT_BITS - found.weights) for row, found in rows if row.params)
    qops = sum(row.flops for row, found in rows if _is_quantized(found))
    ops = profile.flops - qops + qops / QOPS_PER_OP + profile.bops / BOPS_PER_OP
    return Quantized(bits / 8 / 2**20, qops, ops)


def kernel_weights(row: Row) -> int:
    """The number of weights in the kernels of a layer."""
    return sum(math.prod(shape) for shape in row.kernel_shapes)


def _is_quantized(bits: Bits) -> bool:
    return bits.weights != FLOAT
