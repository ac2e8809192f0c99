"""Flips, against a naive count: any shapes, exact zeros, none, distributed."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.nn import layers
from bnn_keras.runs.table import FLIP_COLUMNS
from bnn_keras.training import flips


def network(filters=(32, 32), channels=3):
    """Binary convolutions in sequence; names of layers have slashes, as in the zoo."""
    x = image = tf.keras.Input((8, 8, channels))
    for i, width in enumerate(filters):
        x = layers.binary_conv(width, 3, name=f"block{i}/conv")(x)
    return tf.keras.Model(image, x)


def naive(states):
    """Sign changes from state to state; +1 is what is not below 0."""
    signs = np.array(states) >= 0
    return (signs[1:] != signs[:-1]).sum(0)


def moves(kernel, batches, seed=0):
    """Random weights batch by batch: many exact zeros of both signs, some flips in every batch."""
    random = np.random.default_rng(seed)
    for _ in range(batches):
        values = random.normal(size=kernel.shape)
        zeros = random.choice([0.0, -0.0], kernel.shape)
        kernel.assign(np.where(random.random(kernel.shape) < 0.2, zeros, values))
        yield kernel.numpy()


def test_counts_equal_a_naive_count_whatever_the_shapes():
    """5 * 27 and 7 * 45 weights do not fill whole words, and the second kernel begins inside a word."""
    model = network((5, 7))
    counter = flips.FlipCounter(model)
    counter.reset()
    states = {name: [kernel.numpy()] for name, kernel in flips.binary_kernels(model).items()}
    for _ in range(40):
        for seed, (name, kernel) in enumerate(flips.binary_kernels(model).items()):
            states[name] += moves(kernel, 1, 100 * len(states[name]) + seed)
        counter.update()
    counts = counter.counts()
    assert list(counts) == ["block0/conv", "block1/conv"] == list(states)
    for name, found in counts.items():
        np.testing.assert_array_equal(found, naive(states[name]))
        assert found.max() > 16  # so that five planes took part


def test_rows_are_numpys_statistics_and_reset_begins_anew():
    model = network()
    counter = flips.FlipCounter(model)
    counter.reset()
    name, kernel = list(flips.binary_kernels(model).items())[1]
    states = [kernel.numpy()]
    for state in moves(kernel, 6):
        states.append(state)
        counter.update()
    counts = naive(states)
    row = {row["kernel"]: row for row in flips.rows(4, counter.counts())}[name]
    assert tuple(row) == FLIP_COLUMNS
    assert (row["epoch"], row["weights"]) == (4, counts.size)
    assert row["mean"] == pytest.approx(counts.mean())
    assert row["stable"] == pytest.approx((counts == 0).mean())
    percentiles = (50, 75, 90, 95, 99, 100)
    assert [row[f"p{p}"] for p in percentiles] == list(np.percentile(counts, percentiles))
    assert all(
        r["mean"] == 0 and r["stable"] == 1 for r in flips.rows(4, counter.counts()) if r["kernel"] != name
    )
    kernel.assign(-kernel)
    counter.reset()
    assert {r["mean"] for r in flips.rows(5, counter.counts())} == {0}


@pytest.mark.parametrize("batches", [1, 3, 4])
def test_a_count_of_every_batch_of_the_longest_epoch_fits(batches):
    model = network()
    counter = flips.FlipCounter(model, batches)
    counter.reset()
    kernel = flips.binary_kernels(model)["block0/conv"]
    kernel.assign(tf.ones_like(kernel))
    counter.reset()
    for _ in range(batches):
        kernel.assign(-kernel)
        counter.update()
    assert set(counter.counts()["block0/conv"].ravel()) == {batches}


def test_the_variables_hold_the_whole_state():
    """Another counter that takes them over goes on as the first would have."""
    model = network((5, 7))
    kernel = flips.binary_kernels(model)["block0/conv"]
    first = flips.FlipCounter(model)
    first.reset()
    states = [kernel.numpy()]
    for state in moves(kernel, 3):
        states.append(state)
        first.update()
    second = flips.FlipCounter(model)
    for ours, theirs in zip(second.variables, first.variables, strict=True):
        ours.assign(theirs)
    for state in moves(kernel, 3, seed=1):
        states.append(state)
        second.update()
    np.testing.assert_array_equal(second.counts()["block0/conv"], naive(states))


def test_a_network_without_binary_weights_has_no_rows():
    image = tf.keras.Input((4,))
    counter = flips.FlipCounter(tf.keras.Model(image, tf.keras.layers.Dense(2)(image)))
    counter.reset()
    counter.update()
    assert flips.rows(1, counter.counts()) == []
