"""The authors' PyTorch code of BNAS as an oracle, and the golden numbers that it gave.

    BNAS_SOURCE=FOLDER python -m tests.zoo.bnas_authors                    writes the golden numbers
    BNAS_SOURCE=FOLDER python -m pytest -m large tests/zoo/test_bnas_authors.py    runs it beside ours

FOLDER holds `src` of https://github.com/gistvision/bnas; nothing of it is kept here. As for BNext, every
weight is random and seeded by its key.
"""

import collections
import contextlib
import dataclasses
import importlib
import itertools
import json
import os
import sys
import types
import zlib
from pathlib import Path
from unittest import mock

import numpy as np

import zoo
from tests.zoo import bnext_authors
from tests.zoo.oracle import digest, images, labels, tensor
from zoo import genotype

SOURCE = "BNAS_SOURCE"
GOLDEN = Path(__file__).parent / "golden" / "bnas.json"
KERNEL = ".op.0.weight"  # the end of its key
LOGITS = 10  # of each image
BATCH = 4  # images of a step
DROPPED = 0.5  # probability that a path is dropped
STEPS = 20  # of an optimizer: a whole cycle
OPERATIONS = {
    "none": "none",
    "max": "max_pool_3x3",
    "avg": "avg_pool_3x3",
    "conv3": "bin_conv_3x3",
    "conv5": "bin_conv_5x5",
    "dil3": "bin_dil_conv_3x3",
    "dil5": "bin_dil_conv_5x5",
}
# Every operation with either step, and zeros before and between other nodes.
ALL_OPERATIONS = {
    "normal": ("none 1", "none 0", "avg 1", "conv5 0", "none 3", "none 0", "dil5 3", "max 3"),
    "reduction": ("dil3 0", "dil5 1", "conv5 1", "avg 0", "conv3 0", "max 2", "avg 1", "dil5 4"),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and the image that it gets.

    Args:
        name: as in the zoo.
        size: edge of the images.
        classes: of the classifier.
        cells, channels: in place of the published ones; 0 for these.
        all_operations: the cells of `ALL_OPERATIONS` in place of the published ones.
    """

    name: str
    size: int
    classes: int = 10
    cells: int = 0
    channels: int = 0
    all_operations: bool = False

    def __str__(self):
        cells = "-all" if self.all_operations else ""
        return f"{self.name}-{self.size}-{self.cells}x{self.channels}{cells}"

    @property
    def settings(self):
        """Those of `zoo.build`."""
        thin = {"cells": self.cells, "channels": self.channels} if self.cells else {}
        return thin | (ALL_OPERATIONS if self.all_operations else {})


QUICK = [
    Case("bnas_a", 32, cells=4, channels=4),
    Case("bnas_d", 64, cells=3, channels=8),
    Case("bnas_a", 40, cells=3, channels=4, all_operations=True),
]
FULL = [
    *(Case(name, size) for name in ("bnas_mini", "bnas_a") for size in (32, 48)),
    *(Case(f"bnas_{letter}", size, 1000) for letter in "defgh" for size in (224, 64)),
]


def golden(case):
    """The recorded numbers of a case."""
    return json.loads(GOLDEN.read_text())[str(case)]


def random_array(key, shape):
    """The weights under a key of the state dict; binary kernels have some that are clipped."""
    if key.endswith(KERNEL):
        return bnext_authors.random_array(f"{key}binary_conv.weight", shape)
    return bnext_authors.random_array(key, shape)


def exact_kernel(key, shape):
    """A binary kernel, [filters, channels, height, width], whose sums no rounding changes.

    The sums of a binary convolution are often 0, or equal in a window of pooling. With any scale,
    their rounding errors would decide where gradients go. Here the mean over the channels is 0 and the
    mean magnitude a power of 2.
    """
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    filters, channels, *window = shape
    values = np.resize([0.25, -0.25, 0.75, -0.75], channels)
    kernel = rng.permuted(np.broadcast_to(values, (filters, *window, channels)), axis=-1)
    scale = 2.0 ** -rng.integers(0, 4, (filters, 1, 1, 1))
    return (kernel * scale).transpose(0, 3, 1, 2)


def random_state(case, shapes, exact=False):
    """The weights of a case by key.

    Args:
        shapes: by key.
        exact: see `exact_kernel`.
    """
    state = {
        key: exact_kernel(key, shape)
        if exact and key.startswith("cells.") and key.endswith(KERNEL)
        else random_array(key, shape)
        for key, shape in shapes.items()
    }
    settings = {**zoo.registry.variant(case.name), **case.settings}
    # As in training, the mean of a channel that is always 0 is 0.
    mean = state.get(f"cells.{settings['cells'] // 3 + 1}.preprocess0.bn.running_mean")
    if mean is not None and settings["stem"] == "thumbnail":
        mean[genotype.zero_channels(settings["normal"], settings["channels"])] = 0
    return state


def drop_factors(name, number):
    """What drop path multiplies the feature maps of the images by at the end of our path of this name."""
    return _kept(name, number) / (1 - DROPPED)


def _kept(name, number):
    """Whether each image keeps a path, as 0 or 1."""
    drawn = np.random.default_rng(zlib.crc32(name.encode())).random((number, 1, 1, 1))
    return (drawn >= DROPPED).astype(np.float64)


# Below, what runs their code.


@contextlib.contextmanager
def _modules():
    stand_ins = {name: types.ModuleType(name) for name in ("torchvision", "torchvision.transforms")}
    own = ("operations", "utils", "model", "model_imagenet", "bin_utils", "genotypes")
    with (
        mock.patch.dict(sys.modules, stand_ins),
        mock.patch.object(sys, "path", [str(Path(os.environ[SOURCE]) / "src"), *sys.path]),
    ):
        modules = types.SimpleNamespace(**{name: importlib.import_module(name) for name in own})
        for name in own:
            del sys.modules[name]
        yield modules


def _sign():
    """Their sign, in the form that PyTorch takes since 1.3."""
    import torch

    class Sign(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sign()

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return gradient * (x.abs() < 1)

    return lambda: lambda x: (Sign.apply(x), None)


def _max_pool(channels, stride, affine):
    """Their max pooling with another gradient where several pixels of a window are the largest.

    PyTorch gives all of it to the first of them, as TensorFlow does. Our image is turned: the first there
    is the last here.
    """
    import torch

    class MaxPool(torch.nn.Module):
        def forward(self, x):
            after = [0 if stride == 2 and edge % 2 == 0 else 1 for edge in x.shape[2:]]
            x = torch.nn.functional.pad(x, (1, after[1], 1, after[0]), value=-np.inf)
            return torch.nn.functional.max_pool2d(x.flip((2, 3)), 3, stride).flip((2, 3))

    return MaxPool()


def build(case, exact=False):
    """Their network, in float64, with the weights of `random_state`, and what makes its kernels binary."""
    import torch

    settings = {**zoo.registry.variant(case.name), **case.settings}
    Genotype = collections.namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
    normal, reduction = (
        [(OPERATIONS[text.split()[0]], int(text.split()[1])) for text in settings[form]]
        for form in genotype.FORMS
    )
    found = Genotype(normal, range(2, 6), reduction, range(2, 6))
    small = settings["stem"] == "thumbnail"
    with _modules() as modules, contextlib.redirect_stdout(None):
        modules.operations.BinActive = _sign()
        modules.operations.OPS["max_pool_3x3"] = _max_pool
        kind = modules.model.NetworkCIFAR if small else modules.model_imagenet.NetworkImageNet
        network = kind(settings["channels"], case.classes, settings["cells"], found).to(torch.float64)
        network.drop_path_prob = 0.0
        network.global_pooling = torch.nn.AdaptiveAvgPool2d(1)  # theirs is for images of 224 pixels
        state = random_state(
            case, {key: tuple(value.shape) for key, value in network.state_dict().items()}, exact
        )
        network.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
        binary = modules.bin_utils.BinOp(network, types.SimpleNamespace(num_skip=1 if small else 3))
    return network, binary


def logits(network, binary, images):
    """What it gives in evaluation mode."""
    import torch

    binary.binarization()
    with torch.no_grad():
        outputs = network.eval()(tensor(images)).numpy()
    binary.restore()
    return outputs


def _drop_path(number):
    """Their drop path, which wants a GPU, with the masks of `_kept`; each cell calls it eight times.

    PyTorch no longer takes the gradient of a ReLU whose output is changed in place.
    """
    import torch

    names = (f"cell{cell}/edge{edge}_path" for cell in itertools.count(1) for edge in range(1, 9))

    def drop_path(x, probability):
        return x.div(1 - probability).mul(torch.tensor(_kept(next(names), number)))

    return drop_path


def train(case, network, binary, drops=False, clip_norm=np.inf):
    """The loss and the gradients of a step, by key; with drop path if it `drops`.

    As in their training on ImageNet, the norm is limited before the gradients of the latent weights are
    computed. Those that are returned are without a limit.
    """
    import torch

    network.train()
    network.zero_grad()
    binary.binarization()
    network.drop_path_prob = DROPPED if drops else 0.0
    with mock.patch.dict(type(network).forward.__globals__, drop_path=_drop_path(BATCH)):
        outputs = network(tensor(images(case, BATCH)))
    loss = torch.nn.functional.cross_entropy(outputs, torch.tensor(labels(case, BATCH)))
    loss.backward()
    norm = float(torch.nn.utils.clip_grad_norm_(network.parameters(), clip_norm))
    binary.restore()
    binary.updateBinaryGradWeight()
    whole = 1 / min(1, clip_norm / (norm + 1e-6))
    gradients = {k: p.grad.numpy() * whole for k, p in network.named_parameters() if p.grad is not None}
    return float(loss.detach()), gradients


def optimize(case, network, binary, schedule, clip_norm):
    """Train for `STEPS` steps on one batch with their optimizer.

    Args:
        schedule: "one_cycle", over all steps, or "cosine_restarts", a restart after half of them.
        clip_norm: the largest norm of the gradient.

    Yields:
        The gradients of each step and the weights after it, by key, those of binary kernels centered.
    """
    import torch

    with _modules() as modules:
        one_cycle = modules.utils.OneCycleLR
    cycle = schedule == "one_cycle"
    rate, decay = (0.05, 3e-6) if cycle else (0.1, 3e-5)
    optimizer = torch.optim.SGD(network.parameters(), rate, momentum=0.9, weight_decay=decay)
    if cycle:
        scheduler = one_cycle(optimizer, STEPS, lr_range=(0.05 * rate, rate))
    else:
        scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, STEPS // 2, eta_min=0.0)
    for step in range(STEPS):
        if not cycle:
            scheduler.step(step)
        _, gradients = train(case, network, binary, clip_norm=clip_norm)
        optimizer.step()
        if cycle:
            scheduler.step()
        # As the next step will do.
        binary.save_params()
        binary.meancenterConvParams()
        binary.clampConvParams()
        centered = {key: p.detach().numpy().copy() for key, p in network.named_parameters()}
        binary.restore()
        yield gradients, centered


def main():
    """Write the golden numbers."""
    found = {}
    for case in QUICK:
        outputs = logits(*build(case), images(case))
        loss, gradients = train(case, *build(case, exact=True))
        found[str(case)] = {
            "logits": outputs[:, :LOGITS].tolist(),
            "range": float(np.ptp(outputs)),
            "loss": loss,
            "gradients": {key: digest(key, value) for key, value in gradients.items()},
        }
    GOLDEN.write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
