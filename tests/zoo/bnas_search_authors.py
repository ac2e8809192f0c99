"""The authors' network and updates of the search as an oracle, and the golden numbers that they gave.

    BNAS_SOURCE=FOLDER python -m tests.zoo.bnas_search_authors                          writes the numbers
    BNAS_SOURCE=FOLDER python -m pytest -m large tests/zoo/test_bnas_search_authors.py  runs it beside ours

See tests/zoo/bnas_authors.py. Ours computes the convolutions of several edges as one: `EDGES_OF` says which.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import sys
import types
from pathlib import Path
from unittest import mock

import numpy as np

from tests.zoo import bnas_authors
from tests.zoo.bnas_authors import BATCH, OPERATIONS, SOURCE, exact_kernel, random_array
from tests.zoo.oracle import digest, tensor
from zoo.bnas_search import EDGES
from zoo.genotype import FORMS
from zoo.genotype import OPERATIONS as OURS

GOLDEN = Path(__file__).parent / "golden" / "bnas_search.json"
MODULES = ("operations", "genotypes", "model_search", "architect", "bin_utils_search")
THEIRS = (  # in the order of their scores
    *("none", "max_pool_3x3", "avg_pool_3x3"),
    *("bin_dil_conv_3x3", "bin_dil_conv_5x5", "bin_conv_3x3", "bin_conv_5x5"),
)
COLUMNS = [THEIRS.index(OPERATIONS[name]) for name in OURS]  # of their scores, in our order
ALPHAS = dict(zip(FORMS, ("alphas_normal", "alphas_reduce"), strict=True))


@dataclasses.dataclass(frozen=True)
class Case:
    """A search network and the images that it gets.

    Args:
        cells, channels: of the network.
        size: edge of the images.
        epoch: that decides the weight of the diversity.
        classes: of the classifier.
    """

    cells: int
    channels: int
    size: int
    epoch: int = 0
    classes: int = 10

    def __str__(self):
        return f"{self.cells}x{self.channels}-{self.size}-{self.epoch}"


# A reduction cell at the end, and none. Their code needs even edges before the reductions.
QUICK = [Case(3, 4, 16), Case(4, 4, 12, 5)]
LARGE = [Case(8, 4, 16, 3)]


def golden(case):
    """The recorded numbers of a case."""
    return json.loads(GOLDEN.read_text())[str(case)]


def scores(form):
    """Random scores that differ clearly, in our order of operations."""
    return np.random.default_rng(FORMS.index(form)).normal(0, 1, (len(EDGES), len(OURS)))


def batches(case):
    """The images and labels for the scores, and those for the weights."""
    images = np.random.default_rng(2).normal(0, 1, (2, BATCH, case.size, case.size, 3))
    labels = np.arange(2 * BATCH).reshape(2, BATCH) * 7 % case.classes
    return list(zip(images, labels, strict=True))


def random_state(shapes):
    """The weights by key."""
    return {
        key: exact_kernel(key, shape)
        if "._ops." in key and key.endswith(".weight")
        else random_array(key, shape)
        for key, shape in shapes.items()
    }


# Below, what runs their code.


@contextlib.contextmanager
def _modules():
    import torch

    with (
        mock.patch.object(sys, "path", [str(Path(os.environ[SOURCE]) / "src"), *sys.path]),
        mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor),
    ):
        modules = types.SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
        for name in MODULES:
            del sys.modules[name]
        yield modules


class Authors:
    """Their network in float64 with the weights of `random_state`, their architect, and their optimizers."""

    def __init__(self, case):
        import torch

        self.case, criterion = case, torch.nn.CrossEntropyLoss()
        arguments = types.SimpleNamespace(
            momentum=0.9, weight_decay=3e-4, arch_learning_rate=3e-4, arch_weight_decay=1e-3, lamda=1.0,
            tau=7.7, num_skip=1,
        )  # fmt: skip
        with _modules() as modules:
            modules.operations.BinActive = bnas_authors._sign()
            modules.operations.OPS["max_pool_3x3"] = bnas_authors._max_pool
            network = modules.model_search.Network(case.channels, case.classes, case.cells, criterion)
            self.network = network.to(torch.float64)
            shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
            state = random_state(shapes)
            network.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
            for form, name in ALPHAS.items():
                values = torch.tensor(scores(form)[:, np.argsort(COLUMNS)], requires_grad=True)
                setattr(network, name, values)
            network._arch_parameters = [getattr(network, name) for name in ALPHAS.values()]
            self.binary = modules.bin_utils_search.BinOp(network, arguments)
            self.architect = modules.architect.Architect(network, arguments)
        self.optimizer = torch.optim.SGD(
            network.parameters(), 0.025, momentum=arguments.momentum, weight_decay=arguments.weight_decay
        )

    def genotype(self, gamma):
        """Their choice of cells in our notation."""
        names = {theirs: ours for ours, theirs in OPERATIONS.items()}
        found = self.network.genotype(gamma)
        return {
            form: tuple(f"{names[name]} {node}" for name, node in edges)
            for form, edges in zip(FORMS, (found.normal, found.reduce), strict=True)
        }

    def step(self):
        """A step as in their `train`.

        Returns:
            The loss of the weights, the gradients of the weights by key, and those of the scores by form in
            our order of operations.
        """
        import torch

        (search_images, search_labels), (images, labels) = batches(self.case)
        self.network.train()
        with mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor):
            self.binary.binarization()
            self.architect.step(
                *(None, None), tensor(search_images), torch.tensor(search_labels), 0.025, self.optimizer,
                self.case.epoch,
            )  # fmt: skip
            of_scores = {form: self._alphas(form).grad.numpy()[:, COLUMNS] for form in FORMS}
            self.optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(self.network(tensor(images)), torch.tensor(labels))
            loss.backward()
            self.binary.restore()
            self.binary.updateBinaryGradWeight()
            gradients = {k: p.grad.numpy().copy() for k, p in self.network.named_parameters()}
            self.optimizer.step()
        return float(loss.detach()), gradients, of_scores

    def _alphas(self, form):
        return getattr(self.network, ALPHAS[form])

    def scores(self):
        """The present scores by form in our order of operations."""
        return {form: self._alphas(form).detach().numpy()[:, COLUMNS] for form in FORMS}

    def weights(self):
        """The present weights by key, and the statistics."""
        return {key: value.numpy() for key, value in self.network.state_dict().items()}


def main():
    """Write the golden numbers."""
    found = {}
    for case in QUICK:
        loss, gradients, of_scores = Authors(case).step()
        found[str(case)] = {
            "loss": loss,
            "gradients": {key: digest(key, value) for key, value in gradients.items()},
            "scores": {form: values.tolist() for form, values in of_scores.items()},
        }
    GOLDEN.write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
