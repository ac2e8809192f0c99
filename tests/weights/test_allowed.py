"""The list of what a model file may name: every entry is needed, and everything else is refused."""

import inspect
import json
import sys
from pathlib import Path

import larq as lq
import pytest
import tensorflow as tf
from tensorflow.python.util import tf_export

from bnn_keras.errors import UserError
from bnn_keras.weights import allowed
from bnn_keras.weights.config import ANY, read_config, symbols, words

keras = tf.keras.layers
DOCS = Path(__file__).parents[2] / "docs" / "security.md"
# What the layers that cannot be built without arguments are built with here.
ARGUMENTS = {
    "activation": "relu", "alpha": 0.1, "axes": 1, "cell": keras.LSTMCell(2), "cells": [keras.LSTMCell(2)],
    "dims": (1,), "equation": "ab,bc->ac", "factor": 0.1, "filters": 2, "height": 2, "height_factor": 0.1,
    "input_dim": 3, "kernel_size": 1, "key_dim": 2, "n": 2, "num_heads": 1, "output_dim": 3,
    "output_shape": 3, "precision": 1, "rate": 0.1, "scale": 2.0, "size": 2, "stddev": 0.1,
    "target_shape": (1,), "units": 2, "width": 2, "width_factor": 0.1,
}  # fmt: skip
# Keys that Keras saves only if they are set, or in some of its versions.
SOMETIMES = {"backward_layer", "synchronized"}
OBJECTS = {
    "kernel_initializer": (allowed.INITIALIZERS, tf.keras.initializers),
    "kernel_constraint": (allowed.CONSTRAINTS, tf.keras.constraints),
    "kernel_regularizer": (allowed.REGULARIZERS, tf.keras.regularizers),
}
DANGEROUS = ("os", "posix", "subprocess", "shutil", "pickle", "ctypes", "builtins", "importlib")


def names(classes):
    return {name for group in classes for name in group.split()}


def instance(name, namespace):
    kind = getattr(namespace, name)
    if name == "InputLayer":
        return kind(input_shape=(2,))
    given = {}
    for parameter, default in inspect.signature(kind.__init__).parameters.items():
        if parameter == "layer":
            given[parameter] = keras.LSTM(2) if name == "Bidirectional" else keras.Dense(2)
        elif default.default is inspect.Parameter.empty and parameter in ARGUMENTS:
            given[parameter] = ARGUMENTS[parameter]
    return kind(**given)


def as_model(*layers):
    config = {"name": "model", "layers": list(layers)}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def dense(key, value, module="keras.layers", class_name="Dense"):
    return as_model({"module": module, "class_name": class_name, "config": {key: value}})


def accepts(tree):
    try:
        read_config(json.dumps(tree).encode(), "crafted.keras")
    except UserError:
        return False
    return True


def test_every_layer_loads_with_the_config_that_keras_saves_and_every_key_is_saved():
    every = {
        **dict.fromkeys(names(allowed.LAYERS), keras),
        **dict.fromkeys(names(allowed.LARQ_LAYERS), lq.layers),
        **dict.fromkeys(names(allowed.LARQ_QUANTIZERS), lq.quantizers),
    }
    saved_keys = set()
    for name, namespace in every.items():
        layer = instance(name, namespace)
        saved = json.loads(json.dumps(tf.keras.saving.serialize_keras_object(layer)))
        (checked,) = read_config(json.dumps(as_model(saved)).encode(), "f")["config"]["layers"]
        assert checked["config"] == saved["config"], name
        assert type(tf.keras.saving.deserialize_keras_object(checked)) is type(layer), name
        saved_keys |= saved["config"].keys()
    assert set().union(*(symbols("layer")[name].keys for name in every)) - saved_keys == SOMETIMES


@pytest.mark.parametrize("key", OBJECTS)
def test_every_object_of_a_layer_loads(key):
    classes, namespace = OBJECTS[key]
    for name in names(classes):
        for given in (getattr(namespace, name)(), name):
            layer = keras.Dense(2, **{key: given})
            assert accepts(as_model(tf.keras.saving.serialize_keras_object(layer))), name


def test_every_function_is_listed_under_the_name_that_keras_saves():
    for name in allowed.FUNCTIONS.split():
        function = tf_export.get_symbol_from_name(name)
        assert tf_export.get_canonical_name_for_symbol(function, add_prefix_to_v1_names=True) == name


def test_every_entry_is_documented_for_users_own_models():
    text = DOCS.read_text(encoding="utf-8").split("## What a .keras file may name")[1]
    documented = {word.rstrip(".:") for word in text.translate(str.maketrans(",;()", "    ")).split()}
    listed = set(symbols(ANY)) | words("activation") | words("function")
    assert listed <= documented
    assert {word for word in documented if "." in word} == {name for name in listed if "." in name}


@pytest.fixture(scope="module")
def every_symbol():
    """All (module, name) under which Keras could find something: its API, and what modules hold."""
    rooms = ("tf_keras", "larq", "larq_zoo", "bnn_keras", "zoo", *DANGEROUS)
    modules = [(name, item) for name, item in sys.modules.items() if name.split(".")[0] in rooms]
    found = {(module, name) for module, content in modules for name in vars(content)}
    found |= {tuple(name.rpartition(".")[::2]) for name in tf_export._NAME_TO_SYMBOL_MAPPING}
    assert len(found) > 10_000
    return sorted(found)


def test_every_other_class_is_refused_in_every_place(every_symbol):
    places = {"layer": as_model} | {
        role: lambda item, key=key: dense(key, item)
        for key, role in {
            "kernel_initializer": "initializer",
            "kernel_constraint": "constraint",
            "kernel_regularizer": "regularizer",
            "dtype": "policy",
        }.items()
    }
    for role, place in places.items():
        accepted = {
            (module, name)
            for module, name in every_symbol
            if accepts(place({"module": module, "class_name": name, "config": {}}))
        }
        assert accepted <= {(symbol.module, name) for name, symbol in symbols(role).items()}, role
        assert len(accepted) >= len(symbols(role)) - 3  # a model is not valid without layers


def registered_by(*modules):
    registered = tf.keras.utils.get_custom_objects()
    return {name for name, item in registered.items() if item.__module__.startswith(modules)}


def test_every_registered_class_of_a_library_is_refused():
    of_libraries = registered_by("tf_keras.", "larq.", "larq_zoo.")
    assert len(of_libraries) > 40
    for name in of_libraries:
        item = {"module": None, "class_name": name, "config": {}, "registered_name": name}
        assert not accepts(as_model(item)), name


@pytest.mark.parametrize(
    ("key", "module", "class_name"),
    [
        ("activation", "keras.layers", "Dense"),
        ("kernel_quantizer", "larq.layers", "QuantDense"),
        ("kernel_initializer", "keras.layers", "Dense"),
        ("kernel_constraint", "keras.layers", "Dense"),
        ("kernel_regularizer", "keras.layers", "Dense"),
        ("dtype", "keras.layers", "Dense"),
    ],
)
def test_every_other_function_is_refused_in_every_place(every_symbol, key, module, class_name):
    # Not what this program registers, its tests included.
    everything = {name for _, name in every_symbol} | registered_by("tf_keras.", "larq.")
    function = {"module": "builtins", "class_name": "function", "registered_name": "function"}
    for form in (lambda name: name, lambda name: {**function, "config": name}):
        accepted = {name for name in everything if accepts(dense(key, form(name), module, class_name))}
        assert accepted <= words(key)
        assert accepted >= words(key) & everything


@pytest.mark.parametrize("wrapper", sorted(names(allowed.FUNCTION_LAYERS)))
def test_every_other_function_of_tensorflow_is_refused(wrapper):
    layer = {"module": "tf_keras.src.layers.core.tf_op_layer", "class_name": wrapper}
    tried = set(tf_export._NAME_TO_SYMBOL_MAPPING)
    assert len(tried) > 8_000
    accepted = {name for name in tried if accepts(as_model({**layer, "config": {"function": name}}))}
    assert accepted == words("function")
