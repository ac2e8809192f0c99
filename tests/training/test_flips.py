"""Flips, against a naive count: any shapes, exact zeros, none, distributed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.nn import layers
from bnn_keras.runs.table import FLIP_COLUMNS
from bnn_keras.training import flips


def network(filters=(32, 32), channels=3):
    """Binary convolutions one behind the other; names of layers have slashes, as in the zoo."""
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
    """5 * 27 and 7 * 45 weights fill no whole word, and the second kernel begins inside of one."""
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
    row = {row["kernel"]: row for row in counter.rows(epoch=4)}[name]
    assert tuple(row) == FLIP_COLUMNS
    assert (row["epoch"], row["weights"]) == (4, counts.size)
    assert row["mean"] == pytest.approx(counts.mean())
    assert row["stable"] == pytest.approx((counts == 0).mean())
    percentiles = (50, 75, 90, 95, 99, 100)
    assert [row[f"p{p}"] for p in percentiles] == list(np.percentile(counts, percentiles))
    assert all(r["mean"] == 0 and r["stable"] == 1 for r in counter.rows(4) if r["kernel"] != name)
    shown = flips.scalars([row])
    assert shown[f"flips/{name}/p75"] == row["p75"] and len(shown) == 8
    kernel.assign(-kernel)
    counter.reset()
    assert {r["mean"] for r in counter.rows(5)} == {0}


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
    assert counter.rows(1) == []


# In a process of its own: TensorFlow's devices cannot be changed once they are in use.
MIRRORED = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import bnn_keras
import numpy as np
import tensorflow as tf
import test_flips as t
from bnn_keras import flips

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    model = t.network((5, 7))
    inside = flips.FlipCounter(model)
outside = flips.FlipCounter(model)
name, kernel = list(flips.binary_kernels(model).items())[1]
for counter in (inside, outside):
    counter.reset()
    states = [kernel.numpy()]
    for state in t.moves(kernel, 5):
        states.append(state)
        counter.update()
    np.testing.assert_array_equal(counter.counts()[name], t.naive(states))
for variable in inside.variables:
    first, second = strategy.experimental_local_results(variable)
    np.testing.assert_array_equal(first, second)
assert len(strategy.experimental_local_results(kernel)) == 2
"""


def test_two_replicas_hold_the_counts_of_a_naive_count():
    """Whether the counter is made in the strategy's scope, with its variables mirrored, or outside."""
    root = Path(__file__).parents[2]
    code = MIRRORED.format(tests=str(root / "tests"), root=str(root))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
