"""BNAS: its cells, its counts, its binary kernels, and its way into a file."""

import functools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import accounting
from bnn_keras.cli.network import parse_settings
from bnn_keras.errors import UserError
from bnn_keras.nn import scaled_sign
from bnn_keras.nn.binary import is_one_bit
from bnn_keras.training import optimizers
from tests.zoo.bnas_authors import ALL_OPERATIONS
from tests.zoo.whole_road import train_save_load_convert
from zoo import bnas, genotype
from zoo.checkpoints import bnas as checkpoints

THIN = {"cells": 3, "channels": 8}
PAGE = Path(__file__).parents[2] / "docs" / "bnas.md"
SECOND = ("conv3 1", "none 0") * 4  # the second input alone


@functools.cache
def thin(name="bnas_a", size=32, **settings):
    return zoo.build(name, (size, size, 3), 4, **{**THIN, **settings})


def binary_layers(model):
    return [layer for layer in model.layers if is_one_bit(getattr(layer, "kernel_quantizer", None))]


SIZES = {"bnas_a": 5_578_252, "bnas_d": 28_407_560, "bnas_f": 39_781_442}  # of the authors' code


@pytest.mark.large
@pytest.mark.parametrize("name", bnas.VARIANTS)
def test_counts_are_those_of_the_code_and_of_the_page(name):
    edge, classes = (32, 10) if name in ("bnas_mini", "bnas_a", "bnas_b", "bnas_c") else (224, 1000)
    model = zoo.build(name, (edge, edge, 3), classes)
    counted = accounting.profile(model)
    assert not counted.notes
    if name in SIZES:
        assert counted.params + checkpoints.unused_params(model) == SIZES[name]
        # Two layers of A, on the second inputs of the reduction cells, would serve zeroise alone.
        assert counted.params == {**SIZES, "bnas_a": 5_525_548}[name]
    row = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| {name} |"))
    shown = f"| {counted.params:,} | {counted.size_mib:.2f} | {counted.ops / 1e8:.2f}e8 |"
    assert row.endswith(shown)
    tf.keras.backend.clear_session()


@pytest.mark.parametrize(
    ("settings", "unused"),
    [
        # The second inputs of the reduction cells 2 and 3, from 32 to 16 and from 64 to 32 channels.
        ({}, 32 * 16 + 2 * 32 + 64 * 32 + 2 * 64),
        ({"name": "bnas_d"}, 0),
        # The first inputs: 1x1 in the cells 1 and 2, 3x3 and without scale and shift in the cell 3.
        ({"reduction": SECOND, "normal": SECOND}, 24 * 8 + 2 * 24 + 24 * 16 + 2 * 24 + 9 * 32 * 32),
    ],
    ids=str,
)
def test_the_layers_that_only_zeroise_takes_are_counted_apart(settings, unused):
    assert checkpoints.unused_params(thin(**settings)) == unused


@pytest.mark.parametrize(
    ("settings", "binary"),
    [
        ({}, 6),
        pytest.param({"name": "bnas_d", "size": 64}, 20, marks=pytest.mark.large),
        pytest.param({"size": 40, **ALL_OPERATIONS}, 18, marks=pytest.mark.large),
        pytest.param({"released_slip": True, "cells": 4}, 8, marks=pytest.mark.large),
    ],
    ids=str,
)
def test_a_thin_one_from_training_to_file(settings, binary, tmp_path):
    model = thin.__wrapped__(**settings)  # the weights of the others stay
    assert len(binary_layers(model)) == binary
    assert len(train_save_load_convert(model, tmp_path).layers) == binary


def test_zeroise_leaves_nothing_in_the_network():
    names = [layer.name for layer in thin().layers]
    edges = {name for name in names if "/edge" in name and name.endswith("_conv")}
    assert edges == {"cell1/edge2_conv", "cell1/edge3_conv"}
    # Only zeroise takes the second input of the reduction cells.
    assert not any(name.startswith(("cell2/input1", "cell3/input1")) for name in names)


def test_every_cell_but_the_first_adds_the_output_of_the_cell_before():
    model = thin(name="bnas_d")
    assert not isinstance(model.get_layer("cell1"), tf.keras.layers.Add)
    for number, source in (2, "cell2/shortcut_conv"), (3, "cell3/shortcut_conv"):
        added = model.get_layer(f"cell{number}").input
        assert [x.node.layer.name for x in added] == [f"cell{number}/nodes", source]
    added = thin(cells=4).get_layer("cell4").input
    assert [x.node.layer.name for x in added] == ["cell4/nodes", "cell3"]


def test_only_the_stem_the_shortcuts_and_the_classifier_are_in_32_bits():
    rows = accounting.profile(thin(name="bnas_d"), dense=True).rows
    assert [row.path for row in rows if row.flops] == [
        *("stem/conv1", "stem/conv2", "stem/conv3"),
        *("cell2/shortcut_conv", "cell3/shortcut_conv", "head"),
    ]


def test_the_twin_in_32_bits_has_as_many_parameters_and_nothing_binary():
    networks = thin(name="bnas_d", binary=False), thin(name="bnas_d")
    twin, binary = (accounting.profile(network, dense=True) for network in networks)
    assert twin.bops == 0 and twin.params == binary.params
    assert twin.flops == binary.flops + binary.bops


def test_the_slip_leaves_the_last_two_kernels_in_32_bits():
    with_slip, without = (
        binary_layers(network) for network in (thin(cells=4, released_slip=True), thin(cells=4))
    )
    ours, theirs = ([layer.name for layer in layers] for layers in (without, with_slip))
    assert sorted(set(ours) - set(theirs)) == ["cell4/edge2_conv", "cell4/edge3_conv"]


@pytest.mark.parametrize(
    ("form", "operations", "message"),
    [
        ("normal", ("conv3 0",), "normal has two operations for each of the nodes 2 to 5.*Received: 1 "),
        ("normal", ("conv7 0", *genotype.CIFAR10["normal"][1:]), "Node 2 of normal.*Received: 'conv7 0'"),
        ("reduction", ("max 2", *genotype.CIFAR10["reduction"][1:]), "node from 0 to 1.*Received: 'max 2'"),
        ("normal", ("max", *genotype.CIFAR10["normal"][1:]), "an earlier node.*Received: 'max'"),
        ("normal", ("none 0",) * 8, "normal needs an operation other than none"),
        ("normal", ("none 0",) * 2 + ("max 2",) * 6, "Node 3 of normal takes node 2, which has no input"),
        ("normal", 3, "normal of bnas_a must be a list of eight operations.*Received: 3"),
    ],
)
def test_a_genotype_that_is_no_cell_is_refused(form, operations, message):
    with pytest.raises(UserError, match=message):
        thin(**{form: operations})


def test_a_genotype_of_ones_own_is_given_by_two_settings():
    texts = [f"{form}={','.join(operations)}" for form, operations in genotype.IMAGENET.items()]
    assert parse_settings("bnas_a", texts) == genotype.IMAGENET


def test_a_checkpoint_of_another_variant_is_named():
    state = {f"cells.{cell}.preprocess1.bn.weight": np.ones(4) for cell in range(10)}
    state["stem.op.0.weight"] = np.zeros((72, 3, 3, 3))
    with pytest.raises(UserError, match="weights.pt lacks the key 'stem.bn.weight'.*looks like bnas_mini"):
        checkpoints.naming(state).arrays(thin(), state, Path("weights.pt"), new_head=False)
    larger = {"stem1.1.weight": np.zeros((64, 64, 3, 3)), "cells.0._ops.1.bn.weight": np.ones(64)}
    assert checkpoints.identify(larger) == "a BNAS of other size"
    assert checkpoints.identify({"conv1.weight": np.zeros((64, 3, 7, 7))}) is None


def test_networks_for_cifar_take_its_constants():
    assert zoo.registry.normalization_of("bnas_a", zoo.registry.variant("bnas_a")) == "bnas_cifar10"
    assert zoo.registry.normalization_of("bnas_d", zoo.registry.variant("bnas_d")) == "larq_zoo"


def test_a_scaled_sign_and_its_gradient():
    kernel, upstream = (np.random.default_rng(i).normal(0, 1, (3, 3, 4, 2)) for i in (0, 1))
    quantizer, variable = scaled_sign.ScaledSign(), tf.Variable(kernel)
    with tf.GradientTape() as tape:
        values = quantizer(variable)
        product = tf.reduce_sum(values * upstream)
    found = tape.gradient(product, variable).numpy()
    for channel in range(2):
        w, g = kernel[..., channel], upstream[..., channel]
        np.testing.assert_allclose(values[..., channel], np.sign(w) * np.abs(w).mean(), rtol=1e-12)
        wanted = (np.abs(w).mean() * g + np.sign(w) * (np.sign(w) * g).mean()) * (1 - 1 / 4) * 36
        np.testing.assert_allclose(found[..., channel], wanted, rtol=1e-12)
    np.testing.assert_allclose(quantizer.upstream(kernel, found), upstream, rtol=1e-10)


def test_the_norm_that_is_clipped_is_that_of_the_gradient_of_the_signs():
    layer = scaled_sign.scaled_conv(2, 3)
    model = tf.keras.Sequential([tf.keras.Input((3, 3, 4)), layer])
    (variable,) = model.trainable_variables
    kernel = np.random.default_rng(0).uniform(-1, 1, variable.shape).astype(np.float32)
    kernel[..., 1] = 0  # it has lost its gradient
    variable.assign(kernel)
    upstream = np.random.default_rng(1).normal(0, 1, variable.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        product = tf.reduce_sum(layer.kernel_quantizer(variable) * upstream)
    gradient = tape.gradient(product, variable)
    norm = np.linalg.norm(upstream[..., 0])
    assert np.linalg.norm(gradient) > 2 * norm
    optimizer = optimizers.get("sgd", 1.0, momentum=0.0, clip_norm=norm / 4)
    optimizer.apply_gradients([(gradient, variable)])
    moved = kernel - scaled_sign.center(kernel - gradient / 4)  # the kernel is centered after the step
    np.testing.assert_allclose((kernel - variable.numpy()), moved, atol=1e-5)


def test_a_scaled_sign_of_some_channels_has_the_scale_of_all():
    kernel = np.random.default_rng(0).normal(0, 1, (3, 3, 4, 2)).astype(np.float32)
    whole, part = scaled_sign.ScaledSign()(kernel), scaled_sign.ScaledSign(used=[0, 3])(kernel)
    np.testing.assert_array_equal(part, whole.numpy()[:, :, [0, 3]])


def test_layers_do_not_start_alike():
    kernels = [layer.kernel.latent_variable.numpy() for layer in binary_layers(thin())]
    assert len({float(kernel.std()) for kernel in kernels}) == len(kernels)


def test_latent_kernels_are_centered_and_clipped_from_the_start_and_after_every_step():
    layer = scaled_sign.scaled_conv(2, 3)
    model = tf.keras.Sequential([tf.keras.Input((3, 3, 4)), layer, tf.keras.layers.Flatten()])
    before = layer.kernel.latent_variable.numpy()
    assert 0.06 < before.std() < 0.11 and np.abs(before.mean(axis=2)).max() < 1e-7
    model.compile(tf.keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    model.train_on_batch(np.random.default_rng(0).normal(0, 1, (2, 3, 3, 4)), np.ones((2, 18)))
    after = layer.kernel.latent_variable.numpy()
    assert not np.array_equal(before, after) and np.abs(after).max() <= 1
    centered = scaled_sign.center(np.array([-3.0, 0, 0.3, 4.3]).reshape(1, 1, 4, 1)).numpy()
    np.testing.assert_allclose(centered.ravel(), [-1, -0.4, -0.1, 1])
