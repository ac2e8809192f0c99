"""Rewritten networks compute in float64 what their models compute."""

import os
from pathlib import Path

import numpy as np
import pytest

from bnn_keras.deploy import rewrite
from bnn_keras.deploy.rewrite.operations import THRESHOLD
from bnn_keras.nn.graph import read_graph
from bnn_keras.settings.runtime import RUNTIMES
from tests.deploy.rewrite import random_networks
from tests.networks import images

EXACT = 1e-12  # of the range of the output
# Networks in the default suite, and in all.
DEFAULT, NUMBER = 20, int(os.environ.get("RANDOM_NETWORKS", "200"))


def check(seed):
    """Every operation of a random network in a random form; the kinds of its operations."""
    rng = np.random.default_rng(10_000 + seed)
    model = random_networks.network(seed)
    graph, pixels = read_graph(model), images(1, random_networks.SIZE, seed)
    skip = tuple(name for name in rewrite.NAMES if rng.random() < 0.3)
    network, applied = rewrite.rewritten(graph, rewrite.Options(str(rng.choice(RUNTIMES)), skip))
    expected, found = (
        random_networks.model64(graph, pixels),
        random_networks.network64(network, pixels),
    )
    last = expected[graph.outputs[0]].numpy()
    assert np.isfinite(last).all()
    assert np.abs(found[network.output] - last).max() <= EXACT * np.ptp(last), (seed, skip)
    check_ties(network, expected, found)
    return [done.name for done in applied if done.places]


def check_ties(network, expected, found):
    """Every tensor of the model that is tied follows from one of the list."""
    for value, tie in network.alive().items():
        if tie.operation.kind in (THRESHOLD, "input"):
            continue  # tied to the threshold as it is stored, in float32
        tied = found[tie.operation].numpy() * tie.scale + tie.shift
        range_ = np.abs(expected[value].numpy()).max() + np.abs(tie.shift).max()
        assert np.abs(tied - expected[value].numpy()).max() <= EXACT * range_


def test_random_networks_in_random_forms():
    applied = [name for seed in range(DEFAULT) for name in check(seed)]
    # Otherwise this test could not fail.
    assert set(applied) == set(rewrite.NAMES)


@pytest.mark.large
def test_many_random_networks_in_random_forms():
    for seed in range(DEFAULT, NUMBER):
        check(seed)


def test_a_rewrite_is_a_file_of_its_own_and_short():
    for module in rewrite.REWRITES:
        path = Path(module.__file__)
        assert path.stem == module.NAME
        assert len(path.read_text("utf-8").splitlines()) <= 150
