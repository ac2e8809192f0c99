"""The names that residual networks of torchvision give to our layers.

Source: https://github.com/pytorch/vision, models.resnet.
"""

import re
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from bnn_keras.weights.torch_names import Naming

PARTS = {
    "conv1": "conv1",
    "bn1": "bn1",
    "conv2": "conv2",
    "bn2": "bn2",
    "shortcut_conv": "downsample.0",
    "shortcut_bn": "downsample.1",
}
ENDS = {"stem/conv": "conv1", "stem/bn": "bn1", "head": "fc"}
# Basic blocks in all: the networks with bottlenecks have a third convolution.
BLOCKS = {8: "resnet18", 16: "resnet34"}
PADDING = "stem/pad"  # the layer that tells a network with PyTorch's padding


class _Padded(Naming):
    """Knows only networks that pad as PyTorch does: in others the same weights give other results."""

    def knows(self, model: tf.keras.Model) -> bool:
        return super().knows(model) and any(layer.name == PADDING for layer in model.layers)


def naming(state: Mapping[str, np.ndarray]) -> Naming:
    """The names in a state dict of torchvision."""
    return _Padded(module=_module, identify=identify)


def identify(state: Mapping[str, np.ndarray]) -> str | None:
    """The residual network that a state dict belongs to."""
    if "layer1.0.conv1.weight" not in state or "fc.weight" not in state:
        return None
    blocks = {key.partition(".conv1")[0] for key in state if re.match(r"layer\d\.\d+\.conv1\.", key)}
    if "layer1.0.conv3.weight" in state or len(blocks) not in BLOCKS:
        return "another residual network of torchvision"
    return f"torchvision's {BLOCKS[len(blocks)]}, which is read into one built with symmetric=True"


def _module(name: str) -> str | None:
    match = re.fullmatch(r"section(\d)_block(\d+)/(\w+)", name)
    if match is None or match[3] not in PARTS:
        return ENDS.get(name)
    section, block, part = int(match[1]), int(match[2]), match[3]
    return f"layer{section}.{block - 1}.{PARTS[part]}"
