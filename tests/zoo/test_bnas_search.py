"""BNAS's weight-sharing network: its counts, its layers, and the ablations."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import accounting, weights
from bnn_keras.errors import UserError
from bnn_keras.nn import memory
from bnn_keras.nn.binary import is_one_bit
from zoo import bnas_search
from zoo.genotype import OPERATIONS

THIN = {"cells": 3, "channels": 2}


def build(size=16, **settings):
    return bnas_search.build((size, size, 3), 4, **{**THIN, **settings})


@pytest.fixture(scope="module")
def thin():
    return build()


@pytest.mark.large
def test_parameters_are_those_of_the_code():
    counted = accounting.profile(bnas_search.build((32, 32, 3), 10))
    assert counted.params == bnas_search.PARAMS == parameters(8, 16, 10)
    assert not counted.notes
    tf.keras.backend.clear_session()


def parameters(cells, channels, classes):
    """The number of parameters, summed layer by layer."""
    total, before, last, after_reduction = 2 * 3 + 3**3 * 3 * channels, 3 * channels, 3 * channels, False
    for number in range(cells):
        reduces = number in (cells // 3, 2 * cells // 3)
        channels *= 1 + reduces
        total += (9 if after_reduction else 1) * before * channels + last * channels
        total += 14 * (2 * 3**2 + 2 * 5**2) * channels**2
        total += reduces * (2 * last + 2**2 * last * 4 * channels + 4 * channels)
        before, last, after_reduction = last, 4 * channels, reduces
    return total + (last + 1) * classes


def test_parameters_of_a_thin_one(thin):
    counted = accounting.profile(thin)
    assert counted.params == parameters(3, 2, 4) and not counted.notes


def test_every_edge_of_every_cell_has_every_operation(thin):
    convolutions = [layer for layer in thin.layers if is_one_bit(getattr(layer, "kernel_quantizer", None))]
    edges = sum(layer.filters // (2 * 2 ** (int(layer.name[4]) - 1)) for layer in convolutions)
    assert edges == 3 * 14 * 4
    for form in ("normal", "reduction"):
        assert thin.get_layer(f"{form}_scores").scores.shape == (14, 7)
    assert bnas_search.space().operations == OPERATIONS


def test_only_stem_inputs_shortcuts_and_classifier_are_in_32_bits(thin):
    rows = accounting.profile(thin, dense=True).rows
    inputs = [f"cell{number}/input{node}_conv" for number in (1, 2, 3) for node in (0, 1)]
    shortcuts = ["cell2/shortcut_conv", "cell3/shortcut_conv"]
    assert sorted(row.path for row in rows if row.flops) == sorted([*inputs, *shortcuts, "head", "stem/conv"])


def test_the_scores_weigh_the_operations(thin):
    """With all weight on zeroise, the cells are empty, and only the shortcuts are left."""
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    scores = {form: thin.get_layer(f"{form}_scores").scores for form in ("normal", "reduction")}
    before = {form: each.numpy() for form, each in scores.items()}
    cells = tf.keras.Model(thin.input, [thin.get_layer(name).output for name in ("cell1", "cell2/nodes")])
    assert all(np.abs(output).max() > 0 for output in cells(images))
    for each in scores.values():
        each.assign(200 * tf.one_hot([0] * 14, 7))
    assert all(not output.numpy().any() for output in cells(images))
    for form, each in scores.items():
        each.assign(before[form])


def test_ablations(monkeypatch):
    asked, cell = [], bnas_search.Cell
    monkeypatch.setattr(bnas_search, "Cell", lambda **given: asked.append(given) or (lambda _, last: last))
    ablated = build(no_zeroise=True, no_skip=True)
    assert bnas_search.space(no_zeroise=True).operations == OPERATIONS[1:]
    assert [given["has_shortcut"] for given in asked] == [False] * 3
    assert all(given["operations"] == OPERATIONS[1:] for given in asked)
    assert all(given["weights"].shape == (14, 6) for given in asked)
    # The second cell stands for the others.
    x = ablated.get_layer("stem/conv").output
    second = tf.keras.Model(ablated.input, cell(**asked[1])(x, x))
    assert second.get_layer("cell2/node4_mixed").operations == [0, 1, 2, 3, 4, 5]
    names = {layer.name for layer in second.layers}
    assert "cell2" in names and not any("shortcut" in name or name.endswith("/nodes") for name in names)


def test_the_slip_leaves_the_last_kernels_in_32_bits():
    """Two for each cell and one for each reduction, counted from the last; the golden numbers have them."""
    slips = bnas_search.slipped(8)
    assert len(slips) == 18 and {slip.cell for slip in slips} == {8}
    assert {slip.edge[1] for slip in slips} == {5}
    of_the_first = sorted(slip.operation for slip in slips if slip.edge == (0, 5))
    assert of_the_first == ["conv3", "conv5"]
    assert len(bnas_search.slipped(3)) == 8


@pytest.mark.large
def test_saved_and_read_again(thin, tmp_path):
    thin.save(tmp_path / "thin.keras")
    again = weights.read_model(tmp_path / "thin.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(thin(images), again(images))


def test_what_does_not_fit_into_memory_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10_000)
    with pytest.raises(UserError, match="The weights of bnas_search would take .* GiB of memory"):
        build()
