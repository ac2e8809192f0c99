"""The choice of cells from weights."""

import json

import numpy as np
import pytest

from bnn_keras.errors import UserError
from bnn_keras.search import genotypes
from bnn_keras.settings.search import SearchSettings, Space
from zoo import bnas_search, genotype

SPACE = Space(
    ("normal", "reduction"), ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), ("none", "max", "conv3"), "none"
)
# By edge: (0, 2), (1, 2), (0, 3), (1, 3), (2, 3); of none, max and conv3.
WEIGHTS = np.array([[0.4, 0.35, 0.25], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.3, 0.3, 0.4], [0.2, 0.25, 0.55]])


def test_two_edges_with_the_largest_weights_and_then_their_best_operations():
    assert genotypes.choose(WEIGHTS, SPACE) == ("conv3 1", "none 0", "conv3 2", "none 0")


def test_gamma_divides_the_weights_of_zeroise_before_both_choices():
    assert genotypes.choose(WEIGHTS, SPACE, gamma=1.2) == ("conv3 1", "max 0", "conv3 2", "none 0")
    assert genotypes.choose(WEIGHTS, SPACE, gamma=3.0) == ("conv3 1", "max 0", "conv3 2", "conv3 1")


def test_the_released_gamma_divides_all_weights_of_the_first_edge():
    weights = WEIGHTS[[1, 0, 2, 3, 4]]  # the first edge has the largest weight
    assert genotypes.choose(weights, SPACE)[:2] == ("conv3 0", "none 1")
    assert genotypes.choose(weights, SPACE, 3.0, "released")[:2] == ("none 1", "conv3 0")
    assert weights[0, 2] == 0.7  # the weights themselves stay


def test_without_zeroise_there_is_nothing_to_divide():
    space = Space(SPACE.forms, SPACE.edges, SPACE.operations[1:], "none")
    assert genotypes.choose(WEIGHTS[:, 1:], space) == ("conv3 1", "max 0", "conv3 2", "conv3 1")


def test_edges_from_a_node_that_is_zero_become_zeroise():
    cell = ("none 0", "none 1", "conv3 2", "max 0")
    assert genotypes.prune(cell, SPACE) == ("none 0", "none 1", "none 2", "max 0")
    # So may further nodes, and nothing else changes.
    space = bnas_search.space()
    cell = ("none 0", "none 1", "conv3 2", "none 1", "max 3", "dil5 0", "avg 4", "conv5 2")
    wanted = ("none 0", "none 1", "none 2", "none 1", "none 3", "dil5 0", "avg 4", "none 2")
    assert genotypes.prune(cell, space) == wanted
    assert genotypes.prune(wanted, space) == wanted
    for published in (genotype.CIFAR10, genotype.IMAGENET):
        assert all(genotypes.prune(cell, space) == cell for cell in published.values())


def test_what_is_found_can_be_trained():
    space, random = bnas_search.space(), np.random.default_rng(0)
    usable = 0
    for _ in range(300):
        # Much zeroise, so that nodes are often empty.
        scores = random.normal(0, 1, (2, 14, 7)) + 2 * np.eye(7)[0]
        weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        cells = genotypes.find(dict(zip(space.forms, weights, strict=True)), space, SearchSettings())
        if genotypes.is_usable(cells, space):
            genotype.check(cells)
            usable += 1
        else:
            with pytest.raises(UserError, match="needs an operation other than none"):
                genotype.check(cells)
    assert 50 < usable < 300


def test_gamma_and_its_form_are_those_of_the_settings():
    weights = dict.fromkeys(SPACE.forms, WEIGHTS)
    found = genotypes.find(weights, SPACE, SearchSettings(gamma=3.0))
    assert found["reduction"] == ("conv3 1", "max 0", "conv3 2", "conv3 1")
    found = genotypes.find(weights, SPACE, SearchSettings(gamma=3.0, gamma_form="released"))
    assert found["normal"] == ("conv3 1", "none 0", "conv3 2", "none 0")


def test_the_file():
    found = genotypes.Genotype({"normal": ("max 0",), "reduction": ("none 1",)}, 3, 0.5)
    assert json.loads(found.to_json()) == {
        "normal": ["max 0"],
        "reduction": ["none 1"],
        "epoch": 3,
        "held_out_accuracy": 0.5,
    }
