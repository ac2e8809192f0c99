"""The authors' PyTorch code of BNext as an oracle, run from a folder that the reader has fetched.

    BNEXT_SOURCE=FOLDER python -m pytest -m large tests/test_bnext_authors.py

FOLDER holds bnext.py and birealnet.py of https://github.com/hpi-xnor/BNext (its `src`). Nothing of it
is kept here; the golden numbers of `tests/golden` are what it gave.
"""

import contextlib
import importlib
import os
import sys
import types
from unittest import mock

import numpy as np

SOURCE = "BNEXT_SOURCE"
# What its files import and their networks do not use.
UNUSED = ("torchinfo", "torchvision", "einops", "timm", "timm.models", "timm.models.layers")
SIZES = {"bnext_t": "tiny", "bnext_s": "small", "bnext_m": "middle", "bnext_l": "large"}
# A network of every kind of module, small enough for a test.
SMALL = (16, 32, 32, 64, 64, 128)


def available() -> bool:
    """Whether a folder is named."""
    return SOURCE in os.environ


@contextlib.contextmanager
def _modules():
    stand_ins = {name: mock.MagicMock(spec=types.ModuleType(name)) for name in UNUSED}
    for name, stand_in in stand_ins.items():
        stand_in.summary = stand_in.rearrange = stand_in.trunc_normal_ = stand_in.DropPath = None
        stand_in.__name__ = name
    with mock.patch.dict(sys.modules, stand_ins), mock.patch.object(sys, "path", [os.environ[SOURCE], *sys.path]):
        yield importlib.import_module("bnext"), importlib.import_module("birealnet")


def build(name, classes=1000, elm_attention=True, info_recoupling=True):
    """Their network, in float64.

    Args:
        name: as the zoo's, or "small" for the widths of `SMALL`.
    """
    import torch

    with _modules() as (bnext, birealnet), contextlib.redirect_stdout(None):
        if name == "bnext18":
            return birealnet.BNext18(classes).double()
        with mock.patch.object(bnext, "stage_out_channel_tiny", list(SMALL)) if name == "small" else (
            contextlib.nullcontext()
        ):
            network = bnext.BNext(classes, SIZES.get(name, "tiny"), elm_attention, info_recoupling)
        return network.to(torch.float64)


def shapes(network):
    """The keys of a state dict with their shapes."""
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def random_state(shapes, seed=0, temperature=1.0):
    """Weights for a state dict with keys of such shapes, BatchNorm statistics and all, from a seed."""
    rng = np.random.default_rng(seed)
    return {key: _random(key, shape, rng, temperature) for key, shape in shapes.items()}


def _random(key, shape, rng, temperature):
    if key.endswith("num_batches_tracked"):
        return np.array(7, np.int64)
    if key.endswith("temperature"):
        return np.full(shape, temperature)
    if key.endswith("running_var") or ("norm" in key or "bn" in key) and key.endswith("weight"):
        return rng.uniform(0.5, 1.5, shape)
    if key.endswith("scale"):
        return rng.uniform(-0.1, 1.1, shape)  # as after an optimizer's step, before it is clipped
    if key.endswith("binary_conv.weight"):
        return rng.normal(0, 0.5, shape)
    if len(shape) > 1:
        return rng.normal(0, np.prod(shape[1:]) ** -0.5, shape)
    return rng.uniform(-0.3, 0.5, shape)


def images(size, number=2, seed=1):
    """Images as their network takes them, [number, size, size, 3] (the last dimension is theirs' second)."""
    return np.random.default_rng(seed).normal(0, 1, (number, size, size, 3))


def load(network, state):
    """Their network with these weights."""
    import torch

    network.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    return network


def logits(network, images):
    """What their network gives in evaluation mode."""
    import torch

    with torch.no_grad():
        return network.eval()(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
