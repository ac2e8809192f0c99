"""The names that the authors' BNAS code gives to our layers (https://github.com/gistvision/bnas)."""

import re
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from bnn_keras.nn import scaled_sign
from bnn_keras.weights.torch_names import Naming
from zoo.genotype import INPUTS, NODES

STEM = {"stem/bn": "stem.bn", "stem/conv": "stem.op.0"}
IMAGENET_STEM = {
    "stem/conv1": "stem0.0",
    "stem/bn1": "stem0.1",
    "stem/conv2": "stem0.3",
    "stem/bn2": "stem0.4",
    "stem/conv3": "stem1.1",
    "stem": "stem1.2",
}
SHORTCUT = {"shortcut_bn": "preprocess_res.0", "shortcut_conv": "preprocess_res.1"}
PARTS = {"bn": "bn", "conv": "op.0"}  # of a binary layer
REDUCTION = "_red"  # end of a name in the reduction cells of the networks for ImageNet
# Binary layers on an input of a cell that only zeroise takes.
UNUSED = re.compile(r"cells\.\d+\.preprocess[01](_red)?\..*")
KERNEL = re.compile(r"cells\.(\d+)\.(preprocess|_ops\.)(\d)(?:_red)?\.op\.0\.weight")
SLIPS = 2  # kernels at the end of the network that the code leaves in 32 bits
# The published networks by their cells and channels.
CIFAR10 = {(10, 24): "bnas_mini", (20, 36): "bnas_a", (12, 64): "bnas_b", (16, 108): "bnas_c"}
IMAGENET = {
    (12, 64): "bnas_d",
    (12, 68): "bnas_e",
    (15, 68): "bnas_f",
    (11, 74): "bnas_g",
    (16, 128): "bnas_h",
}


def naming(state: Mapping[str, np.ndarray]) -> Naming:
    """The names in a state dict of the released code."""
    stem = IMAGENET_STEM if any(key.startswith("stem0.") for key in state) else STEM
    reductions = {key.split(".")[1] for key in state if f"{REDUCTION}." in key}
    slips = _kernels(state)[-SLIPS:]

    def module(name: str) -> str | None:
        return {**stem, "head": "classifier"}.get(name) or _module(name, reductions)

    def evaluated(key: str, array: np.ndarray) -> np.ndarray:
        """The code centers a kernel before it takes its signs, in evaluation as in training."""
        if not KERNEL.fullmatch(key) or key in slips:
            return array
        return scaled_sign.center(array.transpose(2, 3, 1, 0)).numpy().transpose(3, 2, 0, 1)

    return Naming(module=module, identify=identify, unused=UNUSED, turned=True, evaluated=evaluated)


def _module(name: str, reductions: set[str]) -> str | None:
    match = re.fullmatch(r"cell(\d+)/(input|edge|shortcut)(\d?)_(bn|conv)", name)
    if match is None:
        return None
    cell, kind, number, part = match.groups()
    cell = str(int(cell) - 1)
    if kind == "shortcut":
        return f"cells.{cell}.{SHORTCUT[f'shortcut_{part}']}"
    if kind == "edge":
        return f"cells.{cell}._ops.{int(number) - 1}.{PARTS[part]}"
    return f"cells.{cell}.preprocess{number}{REDUCTION if cell in reductions else ''}.{PARTS[part]}"


def _kernels(state: Mapping[str, np.ndarray]) -> list[str]:
    """The keys of the binary kernels in the order of the network."""
    found = [(key, match) for key in state if (match := KERNEL.fullmatch(key))]
    # Within a cell the layers on its inputs come before its operations.
    return [
        k
        for k, m in sorted(found, key=lambda pair: (int(pair[1][1]), pair[1][2] != "preprocess", pair[1][3]))
    ]


def unused_params(model: tf.keras.Model) -> int:
    """The number of weights that the authors' network has and ours lacks: those of `UNUSED` layers.

    Args:
        model: a BNAS, with any cells.
    """
    layers = {layer.name: layer for layer in model.layers}
    small, cells, total = "stem/conv" in layers, 0, 0
    while f"cell{cells + 1}" in layers:
        cells += 1
        filters = layers[f"cell{cells}"].output_shape[-1] // NODES
        halved = f"cell{cells - 1}/shortcut_conv" in layers or (cells == 1 and not small)
        for node in range(INPUTS):
            if f"cell{cells}/input{node}_conv" in layers:
                continue
            source = layers.get(f"cell{cells - INPUTS + node}", layers["stem"]).output_shape[-1]
            strided = halved and node == 0
            total += (9 if strided else 1) * source * filters  # 3x3 or 1x1
            total += 0 if strided and small else 2 * source  # the BatchNorm
    return total


def identify(state: Mapping[str, np.ndarray]) -> str | None:
    """The BNAS that a state dict belongs to."""
    cells = {key.split(".")[1] for key in state if re.match(r"cells\.\d+\._ops\.", key)}
    cells |= {key.split(".")[1] for key in state if re.match(r"cells\.\d+\.preprocess1", key)}
    small, large = state.get("stem.op.0.weight"), state.get("stem1.1.weight")
    if small is not None and cells:
        return CIFAR10.get((len(cells), small.shape[0] // 3), "a BNAS of other size")
    if large is not None and cells:
        return IMAGENET.get((len(cells), large.shape[0]), "a BNAS of other size")
    return None
