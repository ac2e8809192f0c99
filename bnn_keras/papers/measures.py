"""The metrics of the published tables, and how each is taken from a counted model."""

import dataclasses
from collections.abc import Callable

from bnn_keras import accounting
from bnn_keras.accounting.quantized import kernel_weights, quantized
from bnn_keras.nn.binary import FLOAT_BITS
from bnn_keras.papers.quantization import PUBLISHED

MIB = 2**20
BNAS_SHORTCUT = "/shortcut_conv"  # between cells


@dataclasses.dataclass(frozen=True)
class Metric:
    """What a figure measures.

    Args:
        unit: of the printed figures.
        title: in words.
        value_of: the number of a counted model, without the unit; None if it is computed from
            something else.
        float_of: for a saving over a network in 32 bits: the number of that network, which is then divided
            by `value_of`.
    """

    unit: float
    title: str
    value_of: Callable[[accounting.Profile], float] | None = None
    float_of: Callable[[accounting.Profile], float] | None = None


def _weights(profile: accounting.Profile) -> int:
    return sum(row.params for row in profile.rows if row.kernel_shapes)


def _stored_mib(profile: accounting.Profile) -> float:
    """Size with the PReLUs that BNext's released code creates and never uses.

    These are the stem's, and that of each module without element-wise attention.
    """
    elm = {row.stage for row in profile.rows if row.path.endswith("/elm")}
    unused = [
        row
        for row in profile.rows
        if (row.path.endswith("/bias") and row.stage not in elm) or row.path == "stem"
    ]
    return profile.size_mib + sum(row.output_shape[-1] or 0 for row in unused) * 4 / MIB


def _base_width(profile: accounting.Profile) -> int:
    return next(row.kernel_shapes[0][-1] for row in profile.rows if row.kernel_shapes)


def _bnas_rows(profile: accounting.Profile) -> list[accounting.Row]:
    """The kernels that the supplement of BNAS counts: all but those of the shortcuts between cells.

    The paper does not say so; three of its memory savings come out to the last digit.
    """
    return [row for row in profile.rows if row.kernel_shapes and not row.path.endswith(BNAS_SHORTCUT)]


def _bnas_flops(profile: accounting.Profile) -> float:
    return sum(row.flops + row.bops / accounting.BOPS_PER_OP for row in _bnas_rows(profile))


def _bnas_float_flops(profile: accounting.Profile) -> float:
    return sum(row.flops + row.bops for row in _bnas_rows(profile))


def _bnas_bits(profile: accounting.Profile) -> float:
    return sum(kernel_weights(row) * (1 if row.binary_params else FLOAT_BITS) for row in _bnas_rows(profile))


def _bnas_float_bits(profile: accounting.Profile) -> float:
    return sum(kernel_weights(row) * FLOAT_BITS for row in _bnas_rows(profile))


def _bnas_cells(profile: accounting.Profile) -> int:
    return len({row.stage for row in profile.rows if row.stage.startswith("cell")})


def _bnas_channels(profile: accounting.Profile) -> int:
    kernels = [row.kernel_shapes[0] for row in profile.rows if row.stage == "cell1" and row.kernel_shapes]
    return kernels[0][-1] if kernels else 0


METRICS = {
    "params": Metric(1, "parameters", lambda p: p.params),
    "binary_params": Metric(1, "binary parameters", lambda p: p.binary_params),
    "weights": Metric(1, "weights", _weights),
    "width": Metric(1, "base width", _base_width),
    "size_mib": Metric(1, "size, MiB", lambda p: p.size_mib),
    "size_mb": Metric(1, "size, 10⁶ bytes", lambda p: p.size_mib * MIB / 1e6),
    "size_stored": Metric(1, "size with unused PReLUs, MiB", _stored_mib),
    "size_quantized": Metric(1, "size, quantized, MiB", lambda p: quantized(p, PUBLISHED).size_mib),
    "bops": Metric(1e9, "BOPs, 10⁹", lambda p: p.bops),
    "flops": Metric(1e8, "FLOPs, 10⁸", lambda p: p.flops),
    "qops": Metric(1e6, "QOPs, 10⁶", lambda p: quantized(p, PUBLISHED).qops),
    "ops": Metric(1e8, "OPs, 10⁸", lambda p: p.ops),
    "ops_quantized": Metric(1e8, "OPs, quantized, 10⁸", lambda p: quantized(p, PUBLISHED).ops),
    "cells": Metric(1, "cells", _bnas_cells),
    "channels": Metric(1, "channels", _bnas_channels),
    "flops_bnas": Metric(1e8, "FLOPs without shortcuts, 10⁸", _bnas_flops),
    "memory_saving": Metric(1, "memory saving", _bnas_bits, _bnas_float_bits),
    "speed_up": Metric(1, "speed-up", _bnas_flops, _bnas_float_flops),
    "percent": Metric(1, "share of OPs, %"),
    "mean": Metric(1, "mean of the runs, %"),
    "std": Metric(1, "sample deviation of the runs, %"),
}
