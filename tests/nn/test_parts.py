"""Which 32-bit layers are stem, branch, transition and head, also in a network of a user."""

import pytest
import tensorflow as tf

import zoo
from bnn_keras.nn import layers
from bnn_keras.nn.graph import read_graph
from bnn_keras.nn.parts import Place, find_parts
from tests.networks import network_around

K = tf.keras.layers


def places(model):
    return {call.path: (place.part, place.number) for call, place in find_parts(read_graph(model)).items()}


def named(model):
    """The places by the last parts of our names, each once."""
    return {(path.split("/")[-1], *place) for path, place in places(model).items()}


def test_meliusnet_has_a_grouped_stem_transitions_and_a_head():
    found = places(zoo.build("meliusneta", (32, 32, 3), 4, blocks=(1, 1, 1), channels=(32, 32)))
    assert found == {
        "stem/conv1": ("stem", 0),
        "stem/conv2": ("stem", 1),
        "stem/conv3": ("stem", 2),
        "section1_transition": ("transition", 0),
        "section2_transition": ("transition", 1),
        "head": ("head", 0),
    }


@pytest.mark.parametrize("size", [32, pytest.param(64, marks=pytest.mark.large)])
def test_bnext_has_branches_that_squeeze_and_expand_also_on_maps_of_one_pixel(size):
    found = named(zoo.build("bnext_t", (size, size, 3), 10, widths=(16, 32, 32, 64, 64, 128)))
    assert found == {
        ("conv", "stem", 0),
        ("squeeze", "branch", 0),
        ("expand", "branch", 1),
        ("head", "head", 0),
    }


@pytest.mark.large
def test_bnext18_has_transitions_in_its_shortcuts_as_well():
    found = named(zoo.build("bnext18", (32, 32, 3), 10, widths=(16, 32, 64)))
    shortcuts = {("residual_conv", "transition", 0), ("residual_conv", "transition", 1)}
    branches = {("squeeze", "branch", 0), ("expand", "branch", 1)}
    assert found == shortcuts | branches | {("conv", "stem", 0), ("head", "head", 0)}


def test_the_shortcut_of_the_last_section_is_a_transition_though_nothing_binary_follows_it():
    found = places(zoo.build("resnete18", (32, 32, 3), 10, blocks=(1, 1), channels=(32, 64)))
    assert found["section2_unit1/shortcut_conv"] == ("transition", 0)
    assert found["head"] == ("head", 0)


def test_every_float_kernel_of_bnas_has_a_place():
    model = zoo.build("bnas_d", (64, 64, 3), 10, cells=3, channels=8)
    kernels = {
        layer.name
        for layer in model.layers
        if isinstance(layer, (K.Conv2D, K.Dense)) and getattr(layer, "kernel_quantizer", None) is None
    }
    found = places(model)
    assert set(found) == kernels
    assert {part for part, _ in found.values()} == {"stem", "transition", "head"}


def test_a_users_own_network_with_flatten_a_nested_model_and_two_dense_layers():
    image = tf.keras.Input((8, 8, 3))
    x = K.Conv2D(8, 3, padding="same", name="first")(image)
    inner_input = tf.keras.Input((8, 8, 8))
    y = layers.binary_conv(8, 3, name="binary")(inner_input)
    inner = tf.keras.Model(inner_input, K.Conv2D(8, 1, name="between")(y), name="inner")
    x = layers.binary_conv(8, 3, name="binary2")(inner(x))
    x = K.Dense(5, activation="relu", name="hidden")(K.Flatten()(x))
    found = places(tf.keras.Model(image, K.Dense(4, name="logits")(x)))
    assert found == {
        "first": ("stem", 0),
        "inner/between": ("transition", 0),
        "hidden": ("head", 0),
        "logits": ("head", 1),
    }


def test_a_network_without_binary_layers_has_no_parts():
    assert places(network_around(K.ReLU())) == {}


def test_only_the_first_layer_takes_the_image():
    assert Place("stem", 0).takes_image
    assert not Place("stem", 1).takes_image and not Place("head", 0).takes_image
