"""Damages of every kind, planted in right files: all are refused."""

import collections
import copy
import functools

import numpy as np
import pytest
import tensorflow as tf
from flatbuffers import flexbuffers

import zoo
from bnn_keras import deploy
from bnn_keras.deploy import rewrite
from bnn_keras.deploy.conversion.hardening import harden
from bnn_keras.deploy.conversion.taps import find_taps, tied_taps
from bnn_keras.deploy.verification.regions import Regions
from bnn_keras.errors import UserError
from bnn_keras.nn.graph import read_graph
from bnn_keras.tflite.flatbuffer import BCONV, Flatbuffer, schema
from tests.networks import TWO_SECTIONS, images, network_around, randomise, tiny_melius

keras = tf.keras.layers


def tiny_bnext():
    return harden(randomise(zoo.build("bnext_t", (32, 32, 3), 10, widths=(8, 16, 16))))


@functools.cache
def converted(name):
    model = {"melius": lambda: tiny_melius(32, **TWO_SECTIONS), "bnext": tiny_bnext}[name]()
    return model, deploy.to_flatbuffer(model), images(2, model.input_shape[1])


# MeliusNet stands for both by default.
@pytest.fixture(params=["melius", pytest.param("bnext", marks=pytest.mark.large)])
def network(request):
    return converted(request.param)


def test_a_right_file_passes(network):
    model, flatbuffer, pixels = network
    report = deploy.verify(model, flatbuffer, pixels)
    assert not report.problems and report.worst.ratio < 1


def regions_of(model, flatbuffer):
    """The regions between the taps that are tensors of the file, in the form that it says."""
    graph, file = read_graph(model), Flatbuffer(flatbuffer)
    network, _ = rewrite.rewritten(graph, rewrite.Options.from_json(file.noted(rewrite.NOTE)))
    indices = file.tensors_by_name()
    taps = tied_taps(network, find_taps(graph))
    return Regions(graph, file, {value: indices[name] for value, name in taps.items()})


def weights_of(regions, tap):
    """The tensors of the constants in the region of a tap, without shapes and axes."""
    found = []
    for number in regions.ops_to({tap}):
        op = regions.ops[number]
        for index in op.inputs:
            if regions.file.is_constant(index) and index not in found:
                is_float = regions.file.constant(index).dtype.kind == "f"
                if is_float or (op.name == BCONV and index == op.inputs[1]):
                    found.append(index)
    return found


def flip_one(values, rng):
    flat = values.reshape(-1)
    place = rng.integers(flat.size)
    if values.dtype.kind == "i":
        flat[place] ^= 1 << int(rng.integers(31))
    else:
        flat[place] = -flat[place] or 1.0


def change_one(values, rng):
    flat = values.reshape(-1)
    place = rng.integers(flat.size)
    if values.dtype.kind == "i":
        flat[place] ^= 1
    else:
        flat[place] += 0.1 * (flat[place] or 1.0)


def negate_all(values, _):
    values[...] = ~values if values.dtype.kind == "i" else np.where(values == 0, 1, -values)


@pytest.mark.parametrize(
    ("network", "damage"),
    [
        ("melius", flip_one),
        ("bnext", change_one),
        *(pytest.param("melius", damage, marks=pytest.mark.large) for damage in (change_one, negate_all)),
        *(pytest.param("bnext", damage, marks=pytest.mark.large) for damage in (flip_one, negate_all)),
    ],
    indirect=["network"],
)
def test_every_stored_constant_is_checked(network, damage):
    """A constant of every stage is damaged; the stages are compared one by one, so each has to be refused."""
    model, flatbuffer, pixels = network
    file, names = Flatbuffer(flatbuffer), Flatbuffer(flatbuffer).tensors_by_name()
    regions = regions_of(model, flatbuffer)
    weights = {tap: weights_of(regions, tap) for tap in sorted(set(regions.tensors.values()))}
    # Of a constant that stages share, the damage could undo that of one of them: both negated are equal.
    users = collections.Counter(index for indices in weights.values() for index in indices)
    rng, expected = np.random.default_rng(0), set()
    for tap, found in weights.items():
        if own := [index for index in found if users[index] == 1]:
            index = int(rng.choice(own))
            values = file.constant(index).copy()
            damage(values, rng)
            file.set_constant(index, values)
            expected.add(tap)
    report = deploy.verify(model, file.pack(), pixels)
    refused = {names[tap.name] for tap in report.taps if tap.problem}
    assert len(expected) > 10
    assert expected <= refused, [file.graph.tensors[tap].name for tap in expected - refused]


def test_a_threshold_before_a_sign_that_is_moved_a_little_is_refused():
    """No value of an image need lie between the right threshold and the wrong one."""
    model, flatbuffer, pixels = converted("melius")
    right = Flatbuffer(flatbuffer)
    taps = set(regions_of(model, flatbuffer).tensors.values())
    signs = {op.inputs[0] for op in right.ops if op.name == "LceQuantize"} - taps
    moved = [op for op in right.ops if op.name == "ADD" and op.outputs[0] in signs]
    assert len(moved) == 2
    for op in moved:
        for channel in (0, -1):
            file = Flatbuffer(flatbuffer)
            values = file.constant(op.inputs[1]).copy()
            values[..., channel] *= 1.01
            file.set_constant(op.inputs[1], values)
            report = deploy.verify(model, file.pack(), pixels)
            (problem,) = [tap.problem for tap in report.taps if tap.problem]
            assert "times what rounding explains" in problem


def edited(flatbuffer, change):
    file = Flatbuffer(flatbuffer)
    change(file)
    return file.pack()


def append(name):
    """Multiply the output by -1, or add -1 to it."""

    def change(file):
        (output,) = file.graph.outputs
        file.graph.tensors += [copy.copy(file.graph.tensors[output]) for _ in range(2)]
        constant, result = len(file.graph.tensors) - 2, len(file.graph.tensors) - 1
        file.set_constant(constant, np.full(file.shape(output), -1, np.float32))
        file.graph.tensors[constant].name, file.graph.tensors[result].name = b"constant", b"result"
        numbers = [file.op_name(i) for i in range(len(file.model.operatorCodes))]
        operator = schema.OperatorT()
        operator.opcodeIndex = numbers.index(name)
        operator.inputs, operator.outputs = np.array([output, constant]), np.array([result])
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{name.title()}Options")
        operator.builtinOptions = getattr(schema, f"{name.title()}OptionsT")()
        file.graph.operators.append(operator)
        return result

    return change


def append_and_return(name):
    def change(file):
        file.graph.outputs = np.array([append(name)(file)])

    return change


def append_and_sign(file):
    file.model.signatureDefs[0].outputs[0].tensorIndex = append("MUL")(file)


def decoy(file):
    result = append("MUL")(file)
    file.graph.tensors[result].name = b"output"


def decoy_returned(file):
    decoy(file)
    file.graph.outputs = np.array([len(file.graph.tensors) - 1])


def sign(side, index=None, name=None):
    def change(file):
        (item,) = getattr(file.model.signatureDefs[0], side)
        item.tensorIndex = item.tensorIndex if index is None else index(file)
        item.name = name or item.name

    return change


def unsign(file):
    file.model.signatureDefs = None


def return_twice(file):
    file.graph.outputs = np.repeat(file.graph.outputs, 2)


def before_output(file):
    return int(file.ops[-1].inputs[0])


STRUCTURE = {
    "an addition after the output": append_and_return("ADD"),
    "a product after the output": append_and_return("MUL"),
    "a product that nobody takes": append("MUL"),
    "a product that the signature returns": append_and_sign,
    "a decoy": decoy,
    "a decoy that is returned": decoy_returned,
    "a signature that returns another tensor": sign("outputs", before_output),
    "a signature that takes another tensor": sign("inputs", before_output),
    "a signature that returns it by another name": sign("outputs", name=b"other"),
    "no signature": unsign,
    "an output twice": return_twice,
}


@pytest.mark.parametrize("change", STRUCTURE.values(), ids=STRUCTURE)
def test_what_a_user_gets_is_compared(network, change):
    model, flatbuffer, pixels = network
    report = deploy.verify(model, edited(flatbuffer, change), pixels)
    assert report.structure and report.problems == report.structure


def operators(file, name):
    return [o for o, op in zip(file.graph.operators, file.ops, strict=True) if op.name == name]


def swap_inputs(file):
    """The inputs of the first concatenation; of a sum they could be swapped with right."""
    operator = operators(file, "CONCATENATION")[0]
    operator.inputs = operator.inputs[::-1].copy()


def bypass(file):
    """The classifier's last operation but one is passed over, if both have one shape; otherwise a sum is."""
    operator = next(
        o
        for o in operators(file, "ADD")
        if not file.is_constant(int(o.inputs[1]))
        and file.shape(int(o.inputs[0])) == file.shape(int(o.inputs[1]))
    )
    operator.inputs = np.array([operator.inputs[0]] * 2)


def option(name, key, value):
    def change(file):
        operator = operators(file, name)[0]
        if operator.customOptions is not None and len(operator.customOptions):
            options = flexbuffers.Loads(bytes(operator.customOptions))
            assert options[key] != value
            operator.customOptions = np.frombuffer(flexbuffers.Dumps({**options, key: value}), np.uint8)
        else:
            assert getattr(operator.builtinOptions, key) != value
            setattr(operator.builtinOptions, key, value)

    return change


OPERATIONS = {
    "swapped inputs": swap_inputs,
    "a bypass": bypass,
    "the padding of the stem": option("CONV_2D", "padding", schema.Padding.VALID),
    "the stride of the stem": option("CONV_2D", "strideW", 1),
    "the activation of a sum": option("ADD", "fusedActivationFunction", schema.ActivationFunctionType.RELU6),
    "the activation of a binary layer": option(BCONV, "fused_activation_function", 1),
    "the border of a binary layer": option(BCONV, "pad_values", 1),
}


@pytest.mark.parametrize("change", OPERATIONS.values(), ids=OPERATIONS)
def test_changed_operations_are_refused(network, change):
    model, flatbuffer, pixels = network
    try:
        report = deploy.verify(model, edited(flatbuffer, change), pixels)
    except UserError:
        return  # the shapes do not fit any more
    assert report.problems


def test_weights_after_a_unit_that_is_off_are_checked():
    """A squeeze unit that is 0 on all images: what multiplies it could be anything."""

    def squeeze(x):
        y = keras.Dense(8, "relu", name="squeeze")(keras.GlobalAveragePooling2D(keepdims=True)(x))
        return keras.Multiply()([x, keras.Activation("sigmoid")(keras.Dense(32, name="excite")(y))])

    model = network_around(squeeze)
    kernel, bias = model.get_layer("squeeze").get_weights()
    model.get_layer("squeeze").set_weights([kernel, bias - 1e4])
    flatbuffer, report = deploy.convert(model, images(2))
    assert not report.problems
    file = Flatbuffer(flatbuffer)
    (kernel,) = (
        op.inputs[1]
        for op in file.ops
        if op.name == "FULLY_CONNECTED" and file.shape(op.inputs[1]) == (32, 8)
    )
    damaged = edited(flatbuffer, lambda file: file.set_constant(kernel, -file.constant(kernel)))
    assert np.array_equal(deploy.run(damaged, images(2)), deploy.run(flatbuffer, images(2)))
    assert deploy.verify(model, damaged, images(2)).problems


def test_a_deep_network_at_its_start_is_probed_within_the_range_of_numbers():
    """Values that have grown from layer to layer, as those of a fresh BNext-L do, do not overflow."""

    model = network_around(lambda x: keras.Conv2D(32, 1, name="after")(keras.Conv2D(32, 1, name="grown")(x)))
    grown = model.get_layer("grown")
    grown.set_weights([weight * 1e32 for weight in grown.get_weights()])
    assert np.abs(model(images(2))).max() > 1e30
    assert not deploy.verify(model, deploy.to_flatbuffer(model), images(2)).problems
