"""Rewritten networks convert and pass verification, cost less, and a mistake in a rewrite is refused."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import deploy
from bnn_keras.accounting.cost import estimate
from bnn_keras.deploy import rewrite
from bnn_keras.deploy.conversion.hardening import harden
from bnn_keras.deploy.rewrite.operations import Tie
from bnn_keras.errors import UserError
from bnn_keras.nn import layers, normalization
from bnn_keras.nn.graph import read_graph
from bnn_keras.settings.runtime import LCE, LCE_XNNPACK
from bnn_keras.tflite.flatbuffer import BCONV, Flatbuffer
from tests.networks import binary_conv, images, network_around, randomise
from zoo import bnext, meliusnet, pytorch, shared

keras = tf.keras.layers


def dense():
    """A grouped stem, a block and a transition of MeliusNet, with sections of whole words of channels."""
    image = tf.keras.Input((16, 16, 3))
    x = layers.Normalize(*normalization.MEAN_STD["imagenet2012"], name="normalize")(image)
    x = layers.Rotate180(name="turn")(x)
    for number, (strides, groups) in enumerate(((2, 1), (1, 4))):
        x = shared.conv(x, 32, 3, f"conv{number}", strides, groups)
        x = shared.relu(shared.batch_norm(x, f"conv{number}_bn"), f"conv{number}_relu")
    x = shared.max_pool(x, 2, "stem")
    x = meliusnet.melius_block(x, 32, "block")
    x = shared.transition(x, 32, "transition")
    return around(image, x)


def attention():
    """Modules of BNext: two that double the width and one that halves the edge among others."""
    image = tf.keras.Input((8, 8, 3))
    module, x = bnext.Module(), bnext.stem_layers(image, "thumbnail", 32)
    seen = pytorch.mean(x, "module1/input_mean")
    halves = [module.plain(x, 1, f"module1_{half}", input_mean=seen) for half in (1, 2)]
    x = keras.Concatenate(name="module1")(halves)
    return around(image, module.elm(module.plain(x, 3, "module2", strides=2), 3, "module3"))


def strided():
    """A convolution that skips pixels of the image, and a pooling."""
    image = tf.keras.Input((16, 16, 3))
    x = keras.BatchNormalization(name="norm")(shared.conv(image, 32, 3, "conv", 2))
    return around(image, keras.AveragePooling2D(2, name="pool")(binary_conv(name="binary")(x)))


def around(image, x):
    x = keras.Dense(4, name="head")(keras.GlobalAveragePooling2D(name="mean")(x))
    return with_negative_scales(randomise(tf.keras.Model(image, x)))


def users_own():
    """A network outside of the zoo, with a layer that is not known to the rewrites."""

    def body(x):
        x = keras.Activation("tanh")(x)
        y = binary_conv(name="first")(keras.BatchNormalization()(x))
        y = binary_conv(name="second")(keras.BatchNormalization()(keras.Add()([x, y])))
        return keras.Conv2D(8, 1)(keras.ReLU()(keras.BatchNormalization()(keras.LeakyReLU()(y))))

    return with_negative_scales(network_around(body))


def with_negative_scales(model):
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.BatchNormalization) and not layer.name.endswith("transition/bn"):
            layer.gamma.assign(layer.gamma * rng.choice([-1, 1], layer.gamma.shape))
    return model


NETWORKS = {"dense": dense, "attention": attention, "strided": strided, "users_own": users_own}


@functools.cache
def built(name):
    model = harden(NETWORKS[name]())
    return model, images(2, model.input_shape[1])


def instructions(flatbuffer, runtime):
    return estimate(Flatbuffer(flatbuffer)).total.instructions[
        "xnnpack" if runtime == LCE_XNNPACK else "tflite"
    ]


# BUILTIN: tests/deploy/portable. The mistakes below take the attention network through LCE_XNNPACK as well.
FORMS = [("dense", LCE), ("strided", LCE_XNNPACK), ("users_own", LCE)]
OTHERS = [
    (name, runtime) for name in NETWORKS for runtime in (LCE, LCE_XNNPACK) if (name, runtime) not in FORMS
]


@pytest.mark.parametrize(
    ("name", "runtime"), [*FORMS, *(pytest.param(*one, marks=pytest.mark.large) for one in OTHERS)]
)
def test_a_rewritten_network_is_verified_and_costs_less(name, runtime):
    model, pixels = built(name)
    options = rewrite.Options(runtime)
    flatbuffer, report = deploy.convert(model, pixels, options=options)
    assert not report.problems and all(not layer.problem for layer in report.layers)
    before = deploy.to_flatbuffer(model, options=rewrite.IDENTITY)
    assert instructions(flatbuffer, runtime) < instructions(before, runtime)
    assert len(report.layers) == sum(op.name == BCONV for op in Flatbuffer(before).ops)
    said = "\n".join(deploy.lines(report))
    assert all(f"rewrite {name}: applies" in said for name in rewrite.NAMES)
    assert "applies nowhere, as it needs " in said


def test_a_network_whose_biases_are_still_0_is_verified():
    image = tf.keras.Input((8, 8, 3))
    module, x = bnext.Module(), bnext.stem_layers(image, "thumbnail", 32)
    for number, block in enumerate((module.elm, module.plain, module.plain, module.plain)):
        x = block(x, 1, f"module{number}")
    model = around(image, x)
    for layer in model.layers:
        if isinstance(layer, layers.Bias):
            layer.bias.assign(tf.zeros_like(layer.bias))
    assert not deploy.convert(harden(model), images(2, 8))[1].problems


def test_a_file_says_its_form_and_another_form_is_refused():
    model, pixels = built("dense")
    file = Flatbuffer(deploy.to_flatbuffer(model, options=rewrite.Options(skip=("groups",))))
    assert rewrite.Options.from_json(file.noted(rewrite.NOTE)) == rewrite.Options(skip=("groups",))
    file.model.metadata = None
    assert deploy.verify(model, file.pack(), pixels).problems
    file.note(rewrite.NOTE, b'{"runtime": 1}')
    with pytest.raises(UserError, match="The note 'bnn_keras.rewrite' in the file is damaged"):
        deploy.verify(model, file.pack(), pixels)


def test_without_rewrites_a_file_has_no_note():
    model, _ = built("users_own")
    assert Flatbuffer(deploy.to_flatbuffer(model, options=rewrite.IDENTITY)).noted(rewrite.NOTE) is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"runtime": "lite"}, "Unknown runtime 'lite'; valid: lce, lce_xnnpack"),
        ({"skip": ("threshold",)}, "Unknown rewrite 'threshold'; did you mean thresholds"),
    ],
)
def test_unknown_names_are_sentences(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        rewrite.Options(**settings)


def first(network, kind, condition=lambda one: True):
    return next(one for one in network.operations() if one.kind == kind and condition(one))


def do_not_turn(network):
    conv = first(network, "binary_conv")
    conv.constants["kernel"][:, :, 1] *= -1


def scale_twice(network):
    first(network, "conv", lambda one: one.channels == 32).constants["kernel"] *= 1.01


def shift_twice(network):
    first(network, "shift", lambda one: one.inputs[0].kind == "max_pool").constants["shift"] *= 2


def swap_sections(network):
    join = first(network, "concat", lambda one: one.inputs[0].kind in ("threshold", "max_pool"))
    join.inputs = join.inputs[::-1]


def forget_to_take_off(network):
    conv = first(network, "shift", lambda one: one.inputs[0].kind == "binary_conv")
    conv.constants["shift"] = 0 * conv.constants["shift"]


def swap_groups(network):
    join = first(network, "concat", lambda one: one.inputs[0].kind == "relu")
    join.inputs = [join.inputs[1], join.inputs[0], *join.inputs[2:]]


def move_row(network):
    row = first(network, "row_shift").constants
    row["row"] = np.roll(row["row"], 1)


def scale_another_channel(network):
    scale = first(network, "scale", lambda one: one.shape[1] == 1).constants
    scale["scale"] = np.roll(scale["scale"], 1)


def forget_a_mean(network):
    mean = first(network, "add", lambda one: one.shape[1] == 1)
    mean.inputs = [mean.inputs[1], mean.inputs[1]]


def carry_twice(network):
    shift = first(network, "shift", lambda one: one.inputs[0].kind == "add")
    shift.constants["shift"] = 2 * shift.constants["shift"]


def swap_pooled_sections(network):
    join = first(network, "concat", lambda one: one.inputs[0].kind == "average_conv")
    join.inputs = join.inputs[::-1]


def take_the_largest(network):
    first(network, "average_conv").kind = "max_pool"


def do_not_turn_channels(network):
    conv = first(network, "conv", lambda one: one.inputs[0].kind == "turn")
    conv.constants = {"kernel": conv.constants["kernel"][:, :, ::-1]}


def start_at_another_pixel(network):
    conv = first(network, "conv", lambda one: one.inputs[0].kind == "pairs")
    conv.constants = {"kernel": np.roll(conv.constants["kernel"], 3, axis=2)}


def forget_to_add_one(network):
    product = first(network, "multiply", lambda one: one.inputs[0].kind == "increment")
    product.inputs = [product.inputs[0].inputs[0], product.inputs[1]]


# Of each rewrite: how it is mistaken, and the stages in which its file then differs from the model.
MISTAKES = {
    "thresholds": (do_not_turn, ["block_dense/conv"]),
    "scales": (scale_twice, ["conv0_relu"]),
    "pooled_shifts": (shift_twice, ["transition/relu"]),
    "sections": (swap_sections, ["block_improvement/conv"]),
    "free_thresholds": (forget_to_take_off, ["block_dense/conv", "block_improvement/conv"]),
    "groups": (swap_groups, ["conv1_relu"]),
    "image_shifts": (move_row, ["normalize"]),
    "recouplings": (scale_another_channel, ["module1_1/recoupled_bn"]),
    "means": (forget_a_mean, ["module3/input_mean"]),
    "carried_shifts": (carry_twice, ["module2/bn"]),
    "late_joins": (swap_pooled_sections, ["module2/pool"]),
    "average_pools": (take_the_largest, ["pool"]),
    "turns": (do_not_turn_channels, ["conv0_relu"]),
    "common_factors": (forget_to_add_one, ["module3"]),
    "pixel_pairs": (start_at_another_pixel, ["norm"]),
}
# Mistakes in different stages of one file; the stages are compared one by one, so each has to be refused.
FILES = [
    ("dense", LCE, ["scales", "pooled_shifts", "thresholds", "sections", "groups", "image_shifts"]),
    ("dense", LCE, ["turns", "free_thresholds"]),
    ("attention", LCE_XNNPACK, ["recouplings", "means", "carried_shifts", "common_factors", "late_joins"]),
    ("strided", LCE_XNNPACK, ["average_pools", "pixel_pairs"]),
]


def test_every_rewrite_is_mistaken_once():
    mistaken = [name for _, _, names in FILES for name in names]
    assert sorted(mistaken) == sorted(MISTAKES) == sorted(rewrite.NAMES)


@pytest.mark.parametrize(("network", "runtime", "names"), FILES, ids=[" ".join(names) for *_, names in FILES])
def test_a_mistake_in_a_rewrite_is_refused(network, runtime, names, monkeypatch):
    """Verification refuses each although it takes the ties from the same mistaken rewrites."""
    model, pixels = built(network)
    right = rewrite.rewritten

    def mistaken(graph, options):
        found, applied = right(graph, options)
        for name in names:
            MISTAKES[name][0](found)
        return found, applied

    monkeypatch.setattr(rewrite, "rewritten", mistaken)
    flatbuffer = deploy.to_flatbuffer(model, options=rewrite.Options(runtime))
    refused = {tap.name for tap in deploy.verify(model, flatbuffer, pixels).taps if tap.problem}
    assert refused == {stage for name in names for stage in MISTAKES[name][1]}


def test_a_tie_of_the_output_is_not_believed(monkeypatch):
    model, pixels = built("users_own")
    right = rewrite.rewritten

    def mistaken(graph, options):
        found, applied = right(graph, options)
        tie = found.ties[graph.outputs[0]]
        found.ties[graph.outputs[0]] = Tie(tie.operation, 2 * tie.scale)
        return found, applied

    flatbuffer = deploy.to_flatbuffer(model)
    monkeypatch.setattr(rewrite, "rewritten", mistaken)
    assert deploy.verify(model, flatbuffer, pixels).problems == [
        "a rewrite changed what the file takes or returns"
    ]


def test_a_scale_of_zero_keeps_the_batch_norm():
    def body(x):
        return binary_conv()(keras.BatchNormalization(name="norm")(layers.Bias()(x)))

    model = network_around(body)
    norm = model.get_layer("norm")
    norm.gamma.assign(norm.gamma * (np.arange(32) != 3))
    applied = rewrite.rewritten(read_graph(model), rewrite.OPTIMIZED)[1]
    assert {done.name: done.places for done in applied}["thresholds"] == 0
    assert not deploy.convert(model, images(2), options=rewrite.OPTIMIZED)[1].problems


def test_a_threshold_far_from_the_others_is_not_added_to_what_others_take():
    def body(x):
        x = keras.Conv2D(32, 1)(x)
        return keras.Add()([x, binary_conv()(keras.BatchNormalization(name="norm")(x))])

    model = network_around(body)
    norm = model.get_layer("norm")
    for factor, places in ((1, 1), (1e-4, 0)):
        norm.gamma.assign(norm.gamma * np.where(np.arange(32) == 3, factor, 1))
        applied = rewrite.rewritten(read_graph(model), rewrite.OPTIMIZED)[1]
        assert {done.name: done.places for done in applied}["free_thresholds"] == places
