"""The names that the released BNext checkpoints give to our layers (https://github.com/hpi-xnor/BNext)."""

import re
from collections.abc import Mapping

import numpy as np

from bnn_keras.weights.torch_names import Naming

# Parts of a module: our name, their name.
PARTS = {
    "bias": "move",
    "conv": "binary_conv",
    "bn": "norm1",
    "prelu": "activation2",
    "mix": "scale",
    "squeeze": "se.se.1",
    "expand": "se.se.3",
    "recoupled_bn": "norm2",
    "elm_bn": "norm2",
    "residual_prelu": "activation1",
    "residual_conv": "downsample.1",
    "residual_bn": "downsample.2",
}
HEAD = {"head/prelu": "prelu", "head": "fc"}
STEM = {"stem/conv": "feature.0.conv1", "stem": "feature.0.bn1"}
RESNET_STEM = {"stem/conv": "conv1", "stem/bn": "bn1", "stem": "bn1"}
# Name of every 3x3 module, also of the plain ones; the second in networks without element-wise attention.
ATTENTION, NO_ATTENTION = "Attention", "FFN_3x3"
# Stored with every module, but used by some of them only.
SPARE = r"(activation1|norm2)\.\w+"
# Modules that are plain in the network with element-wise attention, and weights that no network uses.
PLAIN = r"feature\.\d*[13579]\.Attention|feature\.\d+\.(FFN_3x3|FFN|FFN_1|FFN_2)|layer\d\.\d\.FFN"
UNUSED = re.compile(rf"({PLAIN})\.{SPARE}|.*\.binary_activation\.temperature|feature\.0\.prelu\.weight")
OF_ELM = ("residual_prelu", "elm_bn")
# The released sizes by the width of the stem and the number of features.
SIZES = {(32, 14): "bnext_t", (48, 14): "bnext_s", (48, 22): "bnext_m", (64, 30): "bnext_l"}
EXPANSIONS = (".FFN", ".FFN_1", ".FFN_2")


def naming(state: Mapping[str, np.ndarray]) -> Naming:
    """The names in a state dict of the released code."""
    rest = HEAD | (RESNET_STEM if _is_bnext18(state) else STEM)
    plain = any(f".{NO_ATTENTION}." in key for key in state)
    three_by_three = NO_ATTENTION if plain else ATTENTION
    return Naming(
        module=lambda name: rest.get(name) or _module(name, three_by_three),
        identify=identify,
        unused=UNUSED,
        turned=True,
        evaluated=evaluated,
    )


def _module(name: str, three_by_three: str) -> str | None:
    stage, _, part = name.partition("/")
    if match := re.fullmatch(r"block(\d+)_(3x3|1x1)(?:_(\d))?", stage):
        number, kernel, half = match.groups()
        if kernel == "3x3":
            kind = ATTENTION if part in OF_ELM else three_by_three
        else:
            kind = f"FFN_{half}" if half else "FFN"
        return _part(f"feature.{number}.{kind}", part)
    if match := re.fullmatch(r"section(\d)_block(\d)_3x3_(\d)", stage):
        section, block, half = map(int, match.groups())
        return _part(f"layer{section - 1}.{block - 1}.{(ATTENTION, 'FFN')[half - 1]}", part)
    return None


def _part(module: str, part: str) -> str | None:
    return f"{module}.{PARTS[part]}" if part in PARTS else None


def evaluated(key: str, array: np.ndarray) -> np.ndarray:
    """The 1x1 modules, and the plain modules of BNext-18, clip their mix in evaluation too."""
    module = key.removesuffix(".scale")
    return np.clip(array, 0, 1) if module != key and module.endswith(EXPANSIONS) else array


def identify(state: Mapping[str, np.ndarray]) -> str | None:
    """The BNext that a state dict belongs to."""
    if _is_bnext18(state):
        return "bnext18"
    stem = state.get("feature.0.conv1.weight")
    features = {key.split(".")[1] for key in state if key.startswith("feature.")}
    if stem is None:
        return None
    return SIZES.get((stem.shape[0], len(features)), "a BNext of other widths")


def _is_bnext18(state: Mapping[str, np.ndarray]) -> bool:
    return "layer0.0.Attention.binary_conv.weight" in state
