"""larq-zoo's BinaryDenseNet and ResNetE, whose layers have no names but Keras's own.

The name `batch_normalization_7` says only that this was the eighth BatchNorm built. Its place in the
network follows from the order of the layers and from the shapes of the binary kernels.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

KINDS = ("conv2d", "quant_conv2d", "batch_normalization", "dense")

Arrays = list[np.ndarray]


def rename(theirs: Mapping[str, Arrays]) -> dict[str, Arrays] | None:
    """The weights by our layers' names; None if these are not one of the two families' layers."""
    built = _in_order(theirs)
    if built is None or not built["quant_conv2d"]:
        return None
    shapes = [kernel.shape for (kernel,) in built["quant_conv2d"]]
    # A dense network grows by the same width everywhere, a residual one doubles it.
    names = _dense_names(shapes) if len({shape[-1] for shape in shapes}) == 1 else _residual_names(shapes)
    ours: dict[str, Arrays] = {}
    for kind, name in names:
        if not built[kind]:
            return None
        ours[name] = built[kind].pop(0)
    if built["dense"]:
        ours["head"] = built["dense"].pop()
    return None if any(built.values()) else ours


def _in_order(theirs: Mapping[str, Arrays]) -> dict[str, list[Arrays]] | None:
    numbers: dict[str, list[tuple[int, str]]] = {kind: [] for kind in KINDS}
    for name in theirs:
        match = re.fullmatch(rf"({'|'.join(KINDS)})(?:_(\d+))?", name)
        if match is None:
            return None
        numbers[match[1]].append((int(match[2] or 0), name))
    return {kind: [theirs[name] for _, name in sorted(found)] for kind, found in numbers.items()}


def _dense_names(shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[str, str]]:
    """Kind and our name of every layer, in the order in which larq-zoo builds BinaryDenseNet."""
    yield from (("conv2d", "stem/conv"), ("batch_normalization", "stem/bn"))
    section, block, expected = 1, 0, shapes[0][2]
    for shape in shapes:
        if shape[2] != expected:  # a transition has changed the width
            yield from _pair(f"section{section}_transition/bn", f"section{section}_transition", "conv2d")
            section, block = section + 1, 0
        block += 1
        name = f"section{section}_block{block}"
        yield from _pair(f"{name}/bn", f"{name}/conv", "quant_conv2d")
        expected = shape[2] + shape[3]
    yield "batch_normalization", "head/bn"


def _residual_names(shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[str, str]]:
    """Kind and our name of every layer, in the order in which larq-zoo builds ResNetE."""
    yield "conv2d", "stem/conv"
    yield from (("batch_normalization", "stem/bn"), ("batch_normalization", "stem_bn"))
    section, unit = 1, 0
    for shape in shapes:
        wider = shape[2] != shape[3]
        section, unit = (section + 1, 1) if wider else (section, unit + 1)
        name = f"section{section}_unit{unit}"
        if wider:
            yield from _pair(f"{name}/shortcut_bn", f"{name}/shortcut_conv", "conv2d")
        yield from _pair(f"{name}/bn", f"{name}/conv", "quant_conv2d")


def _pair(bn: str, conv: str, kind: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("batch_normalization", bn), (kind, conv)
