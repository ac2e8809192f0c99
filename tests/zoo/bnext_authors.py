"""The authors' PyTorch code of BNext as an oracle, and the golden numbers that it gave.

    BNEXT_SOURCE=FOLDER python -m tests.zoo.bnext_authors                    writes the golden numbers
    BNEXT_SOURCE=FOLDER python -m pytest -m large tests/zoo/test_bnext_authors.py    runs it beside ours

FOLDER holds bnext.py and birealnet.py of https://github.com/hpi-xnor/BNext (its `src`); nothing of it is
kept here. Every weight is random, seeded by its key, so that no weights need to be kept either: an array
that is read under a wrong name has wrong numbers.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import sys
import types
import zlib
from pathlib import Path
from unittest import mock

import numpy as np

from tests.zoo.oracle import digest, images, labels, tensor

SOURCE = "BNEXT_SOURCE"
GOLDEN = Path(__file__).parent / "golden" / "bnext.json"
# What its files import and their networks do not use.
UNUSED = ("torchinfo", "torchvision", "einops", "timm", "timm.models", "timm.models.layers")
SIZES = {"bnext_t": "tiny", "bnext_s": "small", "bnext_m": "middle", "bnext_l": "large"}
# A network with every kind of module, small enough for a test.
SMALL = (16, 32, 32, 64, 64, 128)
STEPS = 10  # of the optimizer
LOGITS = 10  # of each image


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, the image that it gets, and how far its kernels are binarized.

    Args:
        name: as in the zoo; "small" is BNext-T with the widths of `SMALL`.
        size: edge of the images.
        classes: 1000 for the ImageNet form, else the CIFAR form.
        temperature: of all kernels.
        elm_attention, info_recoupling: the switches of the paper's table 4.
    """

    name: str
    size: int
    classes: int
    temperature: float = 1.0
    elm_attention: bool = True
    info_recoupling: bool = True

    def __str__(self):
        switches = f"-elm{self.elm_attention:d}-recoupling{self.info_recoupling:d}"
        return f"{self.name}-{self.size}-{self.classes}-T{self.temperature:g}{switches}"


QUICK = [
    *(
        Case("small", 32, 10, elm_attention=e, info_recoupling=i)
        for e in (True, False)
        for i in (True, False)
    ),
    Case("small", 64, 1000, 1e-9),
    Case("bnext18", 32, 10),
    Case("bnext18", 64, 1000, 9e-6),
]
FULL = [
    Case(name, size, classes, temperature)
    for name in ("bnext_t", "bnext_s", "bnext18")
    for size, classes in ((224, 1000), (32, 10))
    for temperature in (1.0, 9e-8)
]
TRAINED = [Case("small", 64, 1000), Case("bnext_t", 64, 1000)]


def golden(case):
    """The recorded numbers of a case."""
    return json.loads(GOLDEN.read_text())[str(case)]


def random_array(key, shape, temperature=1.0):
    """The weights under a key of the state dict; statistics of BatchNorm, too, as after training."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return np.array(7, np.int64)
    if key.endswith("temperature"):
        return np.full(shape, temperature)
    if key.endswith("running_var") or (("norm" in key or "bn" in key) and key.endswith("weight")):
        return rng.uniform(0.5, 1.5, shape)
    if key.endswith("scale"):
        return rng.uniform(-0.1, 1.1, shape)  # as an optimizer's step leaves it, before it is clipped
    if key.endswith("binary_conv.weight"):
        return rng.normal(0, 0.5, shape)
    if len(shape) > 1:
        return rng.normal(0, np.prod(shape[1:]) ** -0.5, shape)
    return rng.uniform(-0.3, 0.5, shape)


def trainable(state):
    """A state dict as it is during training: clipped."""
    return {
        key: np.clip(v, 0, 1)
        if key.endswith("scale")
        else np.clip(v, -1.5, 1.5)
        if "binary_conv.w" in key
        else v
        for key, v in state.items()
    }


# Below, what runs their code.


@contextlib.contextmanager
def _modules():
    stand_ins = {}
    for name in UNUSED:
        stand_ins[name] = types.ModuleType(name)
        for attribute in ("summary", "rearrange", "trunc_normal_", "DropPath"):
            setattr(stand_ins[name], attribute, None)
    with (
        mock.patch.dict(sys.modules, stand_ins),
        mock.patch.object(sys, "path", [os.environ[SOURCE], *sys.path]),
    ):
        yield importlib.import_module("bnext"), importlib.import_module("birealnet")


def build(case):
    """Their network, in float64, with its random weights."""
    import torch

    with _modules() as (bnext, birealnet), contextlib.redirect_stdout(None), contextlib.ExitStack() as stack:
        if case.name == "bnext18":
            network = birealnet.BNext18(case.classes)
        else:
            if case.name == "small":
                stack.enter_context(mock.patch.object(bnext, "stage_out_channel_tiny", list(SMALL)))
            size = SIZES.get(case.name, "tiny")
            network = bnext.BNext(case.classes, size, case.elm_attention, case.info_recoupling)
    network = network.to(torch.float64)
    state = {
        key: random_array(key, tuple(value.shape), case.temperature)
        for key, value in network.state_dict().items()
    }
    network.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    return network


def logits(network, images):
    """What it gives in evaluation mode."""
    import torch

    with torch.no_grad():
        return network.eval()(tensor(images)).numpy()


def train(case, network, number=4, steps=STEPS):
    """Their training: one batch, cross-entropy, clipping, AdamW with two decay groups.

    Returns:
        The loss and the gradients of the first step by key, and the weights after the last one.
    """
    import torch

    state = trainable({key: value.numpy() for key, value in network.state_dict().items()})
    network.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    network.train()
    four = [p for p in network.parameters() if p.ndim == 4]
    rest = [p for p in network.parameters() if p.ndim != 4]
    optimizer = torch.optim.AdamW(
        [{"params": rest, "weight_decay": 1e-3}, {"params": four, "weight_decay": 1e-8}], lr=1e-3
    )
    first = None
    for _ in range(steps):
        optimizer.zero_grad()
        outputs = network(tensor(images(case, number)))
        loss = torch.nn.functional.cross_entropy(outputs, torch.tensor(labels(case, number)))
        loss.backward()
        first = first or (
            float(loss.detach()),
            {key: p.grad.numpy().copy() for key, p in network.named_parameters() if p.grad is not None},
        )
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimizer.step()
    weights = trainable({key: p.detach().numpy() for key, p in network.named_parameters()})
    return *first, {key: weights[key] for key in first[1]}


def main():
    """Write the golden numbers."""
    found = {}
    for case in [*QUICK, *FULL]:
        outputs = logits(build(case), images(case))
        found[str(case)] = {"logits": outputs[:, :LOGITS].tolist(), "range": float(np.ptp(outputs))}
        print(case, flush=True)
    for case in TRAINED:
        loss, gradients, weights = train(case, build(case))
        found.setdefault(str(case), {})["training"] = {
            "loss": loss,
            "gradients": {key: digest(key, value) for key, value in gradients.items()},
            "weights": {key: digest(key, value) for key, value in weights.items()},
        }
        print(case, flush=True)
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
