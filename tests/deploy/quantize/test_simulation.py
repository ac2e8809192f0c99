"""Quantization in simulation: the paper's equations, its authors' code, and what is frozen."""

import contextlib
import functools
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import accounting
from bnn_keras.accounting.quantized import quantized
from bnn_keras.deploy.quantize import simulation
from bnn_keras.errors import UserError
from bnn_keras.nn.layers import GroupedConv2D
from bnn_keras.settings.kinds import parse_value
from bnn_keras.settings.quantization import Bits, BitsText, Plan
from tests import networks
from tests.zoo import bnext_authors, oracle

K = tf.keras.layers
EVERYTHING = Plan({"stem": "8/8", "branch": "4/8-4/4", "head": "8/8"})


@functools.cache
def tiny_bnext():
    return networks.randomise(zoo.build("bnext_t", (32, 32, 3), 10, widths=(16, 32)))


def by_equation(values, bits):
    """Equation 5 for values that share one range."""
    alpha, beta = (2**bits - 1) / (values.max() - values.min() + 1e-8), values.min()
    return np.round((values - beta) * alpha) / alpha + beta


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_activations_have_a_range_for_each_image_and_channel_and_vectors_one_for_each_image(bits):
    maps = np.random.default_rng(0).normal(0, 3, (2, 4, 5, 3))
    found = simulation.quantized_activations(tf.constant(maps), bits).numpy()
    for image in range(2):
        for channel in range(3):
            expected = by_equation(maps[image, :, :, channel], bits)
            np.testing.assert_allclose(found[image, :, :, channel], expected, rtol=1e-12)
    vectors = maps[:, :1, :1] * np.arange(1, 4)
    for shape in ((2, 1, 1, 3), (2, 3)):
        found = simulation.quantized_activations(tf.constant(vectors.reshape(shape)), bits).numpy()
        for image in range(2):
            expected = by_equation(vectors[image].reshape(-1), bits)
            np.testing.assert_allclose(found[image].reshape(-1), expected, rtol=1e-12)


def test_a_map_of_one_value_keeps_it_in_a_graph_too():
    maps = tf.fill((1, 2, 2, 3), 1.1304941)
    for bits in (4, 8):
        found = tf.function(simulation.quantized_activations)(maps, bits)
        np.testing.assert_array_equal(found, maps)


def test_a_kernel_has_a_range_for_each_output_channel_and_a_larger_one_for_each_slice():
    rng = np.random.default_rng(1)
    large = rng.normal(0, 0.1, (3, 3, 2, 4))
    found = simulation.quantized_kernel(tf.constant(large), 4).numpy()
    norm = 2 * np.abs(large).mean((0, 1, 2))
    for channel in range(2):
        for output in range(4):
            expected = by_equation(large[:, :, channel, output] / norm[output], 4) * norm[output]
            np.testing.assert_allclose(found[:, :, channel, output], expected, rtol=1e-10, atol=1e-15)
    for shape in ((1, 1, 6, 4), (6, 4)):
        small = rng.normal(0, 0.1, shape)
        found = simulation.quantized_kernel(tf.constant(small), 4).numpy().reshape(6, 4)
        rows, norm = small.reshape(6, 4), 2 * np.abs(small.reshape(6, 4)).mean(0)
        for output in range(4):
            expected = by_equation(rows[:, output] / norm[output], 4) * norm[output]
            np.testing.assert_allclose(found[:, output], expected, rtol=1e-10, atol=1e-15)
            assert len(np.unique(found[:, output])) <= 16


@contextlib.contextmanager
def authors_code():
    """The module of their quantizers; what it imports for pictures is left out."""
    pictures = {name: ModuleType(name) for name in ("matplotlib.pyplot", "seaborn")}
    saved = {name: sys.modules.get(name) for name in pictures}
    sys.modules.update(pictures)
    try:
        yield runpy.run_path(str(Path(os.environ[bnext_authors.SOURCE]) / "utils_quant.py"))
    finally:
        for name, module in saved.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


# Of a layer: kernel size, size of the map, input channels, groups; None for a dense layer.
LAYERS: dict = {
    "stem": (7, 9, 3, 1),
    "branch": (1, 1, 16, 1),
    "downsampling": (1, 5, 8, 1),
    "inner stem": (3, 6, 8, 2),
    "head": None,
}


@oracle.runs_the_code(bnext_authors.SOURCE)
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(8, 8), (4, 8), (4, 4)])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_and_its_gradient_are_those_of_the_authors_code(kind, weight_bits, activation_bits):
    import torch

    if kind in ("stem", "head") and (weight_bits, activation_bits) != (8, 8):
        pytest.skip("their first and last layer have 8 bits, whatever they are given")
    rng = np.random.default_rng(5)
    with authors_code() as module:
        if LAYERS[kind] is None:
            theirs = module["QuantizeLinear"](12, 10)
            images = rng.normal(0, 20, (3, 12))  # some beyond the magnitude that they are cut at
            ours = K.Dense(10)
        else:
            size, edge, channels, groups = LAYERS[kind]
            bits = {"activation_bits": activation_bits, "weight_bits": weight_bits}
            theirs = module["QuantizeConv"](channels, 8, size, 1, size // 2, 1, groups, True, **bits)
            images = rng.normal(0, 2, (3, edge, edge, channels))
            layer = GroupedConv2D if groups > 1 else K.Conv2D
            ours = layer(8, size, padding="same", groups=groups)
    is_stem = kind == "stem"
    wrapped = simulation.QuantizedLayer(ours, Bits(weight_bits, activation_bits), is_stem)
    wrapped(tf.constant(images))
    axes = (1, 0) if LAYERS[kind] is None else (3, 2, 0, 1)
    kernel, bias = (rng.normal(0, 0.3, weight.shape) for weight in ours.weights)
    ours.set_weights([kernel, bias])
    theirs = theirs.to(torch.float64)
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(kernel.transpose(axes)))
        theirs.bias.copy_(torch.tensor(bias))
    taken = torch.tensor(images if LAYERS[kind] is None else images.transpose(0, 3, 1, 2))
    outputs = theirs(taken)
    outputs.square().sum().backward()
    with tf.GradientTape() as tape:
        found = wrapped(tf.constant(images))
        loss = tf.reduce_sum(tf.square(found))
    gradient = tape.gradient(loss, ours.kernel).numpy().transpose(axes)
    expected = outputs.detach().numpy()
    expected = expected if LAYERS[kind] is None else expected.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(gradient, theirs.weight.grad.numpy(), rtol=1e-9, atol=1e-8)


def test_the_bits_of_a_plan_reach_the_layers_and_only_these_are_trained():
    simulated = simulation.simulate(tiny_bnext(), EVERYTHING)
    found = {layer.name: layer for layer in simulated.layers if isinstance(layer, simulation.QuantizedLayer)}
    assert found["stem/conv"].bits == Bits(8, 8) and found["stem/conv"].takes_image
    assert found["block1_3x3/squeeze"].bits == Bits(4, 8)
    assert found["block1_3x3/expand"].bits == Bits(4, 4)
    assert found["head"].bits == Bits(8, 8) and not found["head"].takes_image
    trained = {id(weight) for layer in found.values() for weight in layer.layer.weights}
    assert {id(weight) for weight in simulated.trainable_weights} == trained
    before = simulated.get_layer("stem").get_weights()
    simulated(networks.images(2, 32), training=True)
    for old, new in zip(before, simulated.get_layer("stem").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_32_bits_change_nothing_and_2_bits_do():
    model, images = tiny_bnext(), networks.images(2, 32)
    unchanged = simulation.simulate(model, Plan({"stem": "32/32", "head": "32/32"}))
    np.testing.assert_array_equal(unchanged(images), model(images))
    coarse = simulation.simulate(model, Plan({"head": "2/32"}))
    assert not np.allclose(coarse(images), model(images))


def test_a_grouped_stem_and_transitions_are_quantized():
    model = networks.tiny_melius(32, 4)
    simulated = simulation.simulate(model, Plan({"stem": "8/8", "transition": "4/8-4/4", "head": "8/8"}))
    bits = {
        layer.name: str(layer.bits)
        for layer in simulated.layers
        if isinstance(layer, simulation.QuantizedLayer)
    }
    assert bits["stem/conv2"] == "8/8" and bits["section1_transition"] == "4/8"
    assert bits["section2_transition"] == bits["section3_transition"] == "4/4"
    assert np.isfinite(simulated(networks.images(4, 32)).numpy()).all()


def test_a_part_that_is_not_there_and_a_network_without_binary_layers():
    with pytest.raises(UserError, match="no layers of the part 'transition' to quantize; it has: stem, br"):
        simulation.simulate(tiny_bnext(), Plan({"transition": "8/8"}))
    with pytest.raises(UserError, match="has no 32-bit layers beside binary ones"):
        simulation.simulate(networks.network_around(K.ReLU()), EVERYTHING)


def test_size_and_operations_with_a_plan():
    profile = accounting.profile(tiny_bnext(), dense=True)
    found = quantized(profile, Plan({"stem": "8/8", "branch": "4/8-2/8"}))
    kernels = {row.path: (row.params, row.flops) for row in profile.rows if row.part}
    sizes = {"stem/conv": 24, "squeeze": 28, "expand": 30}
    saved = qops = 0
    for path, (_, flops) in kernels.items():
        bits = sizes.get(path, sizes.get(path.split("/")[-1]))
        if bits is not None:
            row = next(row for row in profile.rows if row.path == path)
            saved += bits * np.prod(row.kernel_shapes[0])
            qops += flops
    assert found.size_mib == pytest.approx(profile.size_mib - saved / 8 / 2**20)
    assert found.qops == qops < profile.flops
    assert found.ops == pytest.approx(profile.flops - qops + qops / 8 + profile.bops / 64)


@pytest.mark.parametrize("text", ["", "8", "8/", "1/8", "9/8", "8/16", "4/8-", "4/8/8", " 4/8", "a/b"])
def test_texts_that_are_no_bits(text):
    with pytest.raises(UserError, match="stem_bits must be bits of weights/activations, each 2 to 8 or 32"):
        parse_value("stem_bits", BitsText(), text)
