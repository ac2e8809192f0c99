"""Rewritten networks compute in float64 what their models compute."""

import os
from pathlib import Path

import numpy as np
import pytest

from bnn_keras.deploy import rewrite
from bnn_keras.deploy.rewrite.operations import THRESHOLD
from bnn_keras.settings.runtime import RUNTIMES
from tests.deploy.rewrite import random_networks

EXACT = 1e-12  # of the range of the output
# Networks in the default suite, and in all; so many are cut out of one tree of blocks.
DEFAULT, NUMBER = 200, int(os.environ.get("RANDOM_NETWORKS", "1000"))
OF_TREE = 100


def check(tree, seed):
    """Random networks of a tree, each in a random form; the rewrites that applied."""
    rng = np.random.default_rng(10_000 + seed)
    applied = []
    for _ in range(OF_TREE):
        graph = tree.network(rng)
        skip = tuple(name for name in rewrite.NAMES if rng.random() < 0.3)
        options = rewrite.Options(str(rng.choice(RUNTIMES)), skip)
        network, done = rewrite.rewritten(graph, options)
        found = random_networks.network64(network, tree.values[graph.inputs[0]])
        last = tree.values[graph.outputs[0]].numpy()
        assert np.isfinite(last).all()
        difference = np.abs(found[network.output] - last).max()
        assert difference <= EXACT * np.ptp(last), (seed, graph.calls[-1].path, options)
        check_ties(network, tree.values, found)
        applied += [one.name for one in done if one.places]
    return applied


def check_ties(network, expected, found):
    """Every tensor of the model that is tied follows from one of the list."""
    for value, tie in network.alive().items():
        if tie.operation.kind in (THRESHOLD, "input"):
            continue  # tied to the threshold as it is stored, in float32
        tied = found[tie.operation].numpy() * tie.scale + tie.shift
        range_ = np.abs(expected[value].numpy()).max() + np.abs(tie.shift).max()
        assert np.abs(tied - expected[value].numpy()).max() <= EXACT * range_


def test_random_networks_in_random_forms():
    # Most of the time goes into the blocks: the trees have the same ones, with other weights.
    trees = random_networks.trees(0, DEFAULT // OF_TREE)
    applied = [name for seed, tree in enumerate(trees) for name in check(tree, seed)]
    # Otherwise this test could not fail.
    assert set(applied) == set(rewrite.NAMES)


@pytest.mark.large
def test_many_random_networks_in_random_forms():
    for seed in range(DEFAULT // OF_TREE, NUMBER // OF_TREE):
        (tree,) = random_networks.trees(seed)
        check(tree, seed)


def test_every_file_is_short_and_a_rewrite_is_one():
    for module in rewrite.REWRITES:
        assert Path(module.__file__).stem == module.NAME
    for path in Path(rewrite.__file__).parent.glob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 150, path
