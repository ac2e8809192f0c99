""".keras and .h5 files that an attacker would make: each is refused in one sentence, and nothing is run."""

import io
import itertools
import json
import struct
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import weights
from bnn_keras.errors import UserError
from bnn_keras.weights.hdf5_file import read_hdf5

OPERATIONS = "tf_keras.src.layers.core.tf_op_layer"
POLICIES = "keras.mixed_precision"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The members of a .keras file."""
    image = tf.keras.Input((4,), name="image")
    path = tmp_path_factory.mktemp("whole") / "whole.keras"
    tf.keras.Model(image, tf.keras.layers.Dense(2, name="dense")(image)).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refused(read, *arguments, match=None):
    with pytest.raises(UserError, match=match) as error:
        read(*arguments)
    assert len(str(error.value).splitlines()) == 1


def operation(class_name, **config):
    return {
        "module": OPERATIONS,
        "class_name": class_name,
        "config": {"name": "more", **config},
        "registered_name": class_name,
        "name": "more",
        "inbound_nodes": [["dense", 0, 0, {}]],
    }


def layer(class_name, **config):
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}


WRITE = operation("TFOpLambda", function="io.write_file")
OBJECT = {"module": "os", "class_name": "system", "config": {"command": "true"}, "registered_name": None}
FUNCTION = {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"}
LAYERS = {
    "a class method": operation("ClassMethod", cls_ref="tf.io", method_name="write_file"),
    "an instance method": operation("InstanceMethod", method_name="numpy"),
    "an instance property": operation("InstanceProperty", attr_name="__class__"),
    "a function that writes": WRITE,
    "a function that loads code": operation("TFOpLambda", function="load_op_library"),
    "a slicing that is none": operation("SlicingOpLambda", function="io.read_file"),
    "an operation of a graph": operation("TensorFlowOpLayer", node_def="", constants={}),
    "a lambda": layer("Lambda", function=["4wAAAA==", None, None]),
    "a call without a tensor": {
        **operation("TFOpLambda", function="tile"),
        "inbound_nodes": [["_CONSTANT_VALUE", -1, [1.0], {"multiples": [10**11]}]],
    },
    "a circle": {
        **layer("Add", name="more"),
        "name": "more",
        "inbound_nodes": [[["more", 0, 0, {}], ["dense", 0, 0, {}]]],
    },
    "another module": OBJECT,
    "a foreign registered name": {**layer("Dense", units=2), "module": "os", "registered_name": "os>Dense"},
    "in a wrapper": layer("TimeDistributed", layer=WRITE),
    "as a cell": layer("RNN", cell=OBJECT),
    "among cells": layer("StackedRNNCells", cells=[OBJECT]),
    "in a model": {
        "module": "keras", "class_name": "Sequential", "config": {"layers": [OBJECT]},
    },
    "in an own layer": {
        "module": None, "class_name": "Bias", "config": {"name": "more", "note": [{"of": OBJECT}]},
        "registered_name": "bnn_keras>Bias",
    },
    "in the shape of a build": {**layer("Dense", units=2), "build_config": {"input_shape": OBJECT}},
    "a precision": layer("Dense", units=2, dtype=OBJECT),
    "the name of a precision": layer(
        "Dense", units=2, dtype={"module": POLICIES, "class_name": "Policy", "config": {"name": "../x"}}
    ),
}  # fmt: skip
PLACES = (
    "activation",
    "kernel_initializer",
    "kernel_constraint",
    "kernel_regularizer",
    "activity_regularizer",
    "kernel_quantizer",
)


def read_with_layer(path, whole, more):
    config = json.loads(whole["config.json"])
    config["config"]["layers"].append({"name": "more", "inbound_nodes": [[["dense", 0, 0, {}]]], **more})
    return weights.read_model(write(path, {**whole, "config.json": json.dumps(config)}))


@pytest.mark.parametrize("what", LAYERS)
def test_a_layer_that_would_run_something(tmp_path, whole, what):
    refused(read_with_layer, tmp_path / "m.keras", whole, LAYERS[what])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("item", [OBJECT, FUNCTION, {**FUNCTION, "module": "builtins"}, "os.system", "exec"])
def test_an_object_of_a_layer_that_would_run_something(tmp_path, whole, place, item):
    module, kind = ("larq", "QuantDense") if place.endswith("quantizer") else ("keras", "Dense")
    registered_name = kind if module == "larq" else None
    more = {
        "module": f"{module}.layers",
        "class_name": kind,
        "config": {"units": 2, place: item},
        "registered_name": registered_name,
    }
    refused(read_with_layer, tmp_path / "m.keras", whole, more, match="not among the classes and functions")


@pytest.mark.parametrize(
    "config",
    [
        b"null", b"[]", b"3", b'""', b"NaN", b"{", b"\xff\xfe", b'{"class_name": 1' + 5000 * b"0" + b"}",
        b"[" * 100_000, b'{"class_name": "Sequential", "class_name": "Functional"}',
        b'{"module": "keras", "class_name": "Sequential", "config": {"name": "a\\nb", "layers": []}}',
        b'{"module": "keras", "class_name": "Sequential", "config": {"layers": [NaN]}}',
    ],
)  # fmt: skip
def test_a_configuration_that_is_none(tmp_path, whole, config):
    refused(weights.read_model, write(tmp_path / "m.keras", {**whole, "config.json": config}))


def test_numbers_that_fit_nowhere(tmp_path, whole):
    for units in (10**12, 10**400, -1, float("nan"), float("inf"), 1.5, None, [], True):
        more = layer("Dense", units=units)
        refused(read_with_layer, tmp_path / "m.keras", whole, more)


def test_archives_that_are_not_as_keras_writes_them(tmp_path, whole):
    path = tmp_path / "m.keras"
    for name in ("../outside", "/outside", "assets/x", "CONFIG.JSON"):
        refused(weights.read_model, write(path, {**whole, name: b""}), match="it holds")
    write(path, whole)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", whole["config.json"])
    refused(weights.read_model, path, match="twice")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(2**24))
    refused(weights.read_model, path, match="unpacked to")
    encrypted = bytearray(write(path, whole).read_bytes())
    place = encrypted.index(b"PK\x01\x02") + 8  # the flags of the first member
    encrypted[place] |= 1
    path.write_bytes(encrypted)
    refused(weights.read_model, path, match="encrypted")


def test_an_own_class_and_function_load(tmp_path):
    @tf.keras.utils.register_keras_serializable(package="mine")
    class Scale(tf.keras.layers.Layer):
        def __init__(self, words=None, **settings):
            super().__init__(**settings)
            self.words = words

        def get_config(self):
            return {**super().get_config(), "words": self.words}

    @tf.keras.utils.register_keras_serializable(package="mine")
    def double(x):
        return 2 * x

    image = tf.keras.Input((4,))
    x = Scale({"some": ["words", 1.5]})(tf.keras.layers.Dense(3, double)(image))
    tf.keras.Model(image, 1 - tf.concat([x, x], 1)).save(tmp_path / "m.keras")
    model = weights.read_model(tmp_path / "m.keras")
    assert model.layers[1].activation is double
    assert model.layers[2].words == {"some": ["words", 1.5]}


# HDF5.


def hdf5(fill):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def a_soft_loop(file):
    file["loop"] = h5py.SoftLink("/")


def a_hard_loop(file):
    file["loop"] = file["/"]


def a_filter(file):
    file.create_dataset("x", data=np.zeros(64), chunks=(8,), fletcher32=True)


def a_bomb(file):
    file.create_dataset("x", data=np.zeros(2**22), compression="gzip")


def a_shape_without_values(file):
    file.create_dataset("x", shape=(2**40,), dtype="f4")


def references(file):
    file["x"] = np.array([file.ref], h5py.ref_dtype)


def deep_groups(file):
    file["/".join(100 * "g")] = 1.0


FILLED = {
    "a soft link in a circle": a_soft_loop,
    "a hard link in a circle": a_hard_loop,
    "a link to another file": lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")),
    "values in another file": lambda file: file.create_dataset(
        "x", (8,), "u1", external=[("/etc/passwd", 0, 8)]
    ),
    "references": references,
    "another filter": a_filter,
    "a bomb": a_bomb,
    "a shape beyond the file": a_shape_without_values,
    "empty rows": lambda file: file.create_dataset("x", shape=(2**40, 0), dtype="f4"),
    "deep groups": deep_groups,
    "texts": lambda file: file.__setitem__("x", "text"),
    "records": lambda file: file.__setitem__("x", np.zeros(2, [("a", "f4")])),
}


@pytest.mark.parametrize("what", FILLED)
def test_hdf5_that_keras_does_not_write(what):
    refused(read_hdf5, hdf5(FILLED[what]), "f.h5", match="is refused|is not a whole")


def test_hdf5_whose_tree_of_addresses_is_a_chain():
    content = bytearray(hdf5(lambda file: file.__setitem__("x", 1.0)))
    tree, end = content.index(b"TREE"), len(content)
    node = b"TREE" + struct.pack("<BBHqqQQQ", 0, 1, 1, -1, -1, 0, 0, 0)
    content[tree : tree + len(node)] = node
    places = [tree, *range(end, end + 5000 * len(node), len(node))]
    content += 5000 * node
    for place, following in itertools.pairwise(places):
        struct.pack_into("<Q", content, place + 32, following)
    refused(read_hdf5, bytes(content), "f.h5", match="is not a whole")


def test_an_array_in_place_of_a_layers_group(whole, tmp_path):
    """Keras would go through all of its rows, one by one."""
    content = io.BytesIO(whole["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        file["layers/more"] = np.zeros(8)
    path = write(tmp_path / "m.keras", {**whole, "model.weights.h5": content.getvalue()})
    refused(weights.read_model, path, match="the group 'layers' of its weights holds an array, 'more'")
