"""Inputs whose channels differ much: they are brought to like ranges, exactly, and that is checked."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import deploy
from bnn_keras.accounting.cost import unit_costs
from bnn_keras.deploy.quantize import equalization, int8, result, stages
from bnn_keras.nn import layers
from bnn_keras.settings.runtime import LCE_XNNPACK
from bnn_keras.tflite.flatbuffer import TYPE_NAMES, Flatbuffer
from bnn_keras.tflite.interpreter import run
from tests import networks

K = tf.keras.layers
CHANNELS = 32  # of each half of what is joined


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, its float file, and the file in integers."""

    model: tf.keras.Model
    images: np.ndarray
    floats: bytes
    report: deploy.Report

    def quantized(self):
        return int8.quantize(
            self.model, self.floats, self.report, self.images, None, self.images, None, LCE_XNNPACK
        )


@pytest.fixture(scope="module")
def case():
    """Sums of signs beside features of about 1, as a rewritten transition takes them."""
    image = tf.keras.Input((16, 16, 3))
    x = K.Conv2D(CHANNELS, 3, strides=2, activation="tanh", name="stem")(image)
    y = layers.binary_conv(CHANNELS, 3, name="binary")(x)
    x = K.Conv2D(128, 1, name="transition")(K.Concatenate()([x, y]))
    model = tf.keras.Model(image, K.Dense(10, name="head")(K.GlobalAveragePooling2D()(x)), name="joined")
    networks.randomise(model)
    kernel, bias = model.get_layer("transition").get_weights()
    kernel[:, :, CHANNELS:] /= 100
    model.get_layer("transition").set_weights([kernel, bias])
    images = networks.images(4, 16)
    floats, report = deploy.convert(model, images, options=deploy.Options(LCE_XNNPACK))
    return Case(model, images, floats, report)


@pytest.fixture(scope="module")
def quantized(case):
    return case.quantized()


def error_of(case, content):
    ours, theirs = run(content, case.images), run(case.floats, case.images)
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def added(file):
    """The multiplication before the transition, and what that takes."""
    op = next(op for op in file.ops if op.name == "MUL")
    quantize = next(other for other in file.ops if other.inputs[0] == op.outputs[0])
    return op, next(other for other in file.ops if other.inputs[0] == quantize.outputs[0])


def test_the_output_and_the_manifest_name_what_is_equalized(quantized):
    _, found = quantized
    entries = found.to_dict()["inexact"]
    assert [entry["name"] for entry in entries if entry["equalized"]] == ["transition"]
    assert "of 1 inputs channels were brought to like ranges" in result.lines(found)[0]
    assert all(stage.ratio <= 1 for stage in found.stages)


def test_the_factors_are_powers_of_two_and_cost_one_multiplication(case, quantized):
    file = Flatbuffer(quantized[0])
    multiply, convolution = added(file)
    factors = file.constant(multiply.inputs[1])
    assert (np.frexp(factors)[0] == 0.5).all() and factors.max() > 4 * factors.min()
    assert TYPE_NAMES[file.graph.tensors[convolution.inputs[0]].type] == "INT8"
    assert sum(op.name == "MUL" for op in file.ops) == 1
    assert all(op.name != "MUL" for op in Flatbuffer(case.floats).ops)


def test_without_equalization_the_error_is_larger_and_the_file_smaller(case, quantized, monkeypatch):
    """Small channels keep their values and large ones their weights; the factors take bytes."""
    monkeypatch.setattr(equalization, "LEAST", np.inf)
    content, plain = case.quantized()
    assert error_of(case, quantized[0]) < error_of(case, content) / 4
    assert quantized[1].weight_bytes - plain.weight_bytes == 4 * 2 * CHANNELS


def test_where_floats_are_cheaper_such_a_kernel_is_not_rounded(case, monkeypatch):
    monkeypatch.setitem(unit_costs.TABLE, ("QUANTIZE", "float"), {"element": unit_costs.Costs(225.0)})
    content, found = case.quantized()
    assert [stage.name for stage in found.stages if stage.bits] == ["stem", "head"]
    assert "MUL" not in [op.name for op in Flatbuffer(content).ops]


def change_factor(file, floats):
    """Of the channel that varies most."""
    factors = added(file)[0].inputs[1]
    values = file.constant(factors).copy()
    values[values.argmin()] *= 4
    file.set_constant(factors, values)


def inexact_factor(file, floats):
    factors = added(file)[0].inputs[1]
    file.set_constant(factors, file.constant(factors) * np.float32(1.1))


def keep_the_kernel(file, floats):
    """The convolution takes the multiplied floats, with the kernel of the float file."""
    multiply, convolution = added(file)
    operator = file.graph.operators[file.ops.index(convolution)]
    original = next(op for op in floats.ops if multiply.inputs[0] in op.inputs)
    operator.inputs = np.array([multiply.outputs[0], *original.inputs[1:]], np.int32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_factor, "the operation CONV_2D differs by up to"),
        (inexact_factor, "the operation MUL differs by up to"),
        (keep_the_kernel, "the operation CONV_2D takes other tensors than in the float file"),
    ],
)
def test_a_damaged_file_is_refused(case, quantized, change, message):
    file, floats = Flatbuffer(quantized[0]), Flatbuffer(case.floats)
    change(file, floats)
    problems = stages.compare(file.pack(), floats, case.images[:2], {})[1]
    assert any(message in problem for problem in problems), problems


def test_channels_that_are_always_0_and_weights_of_0():
    values, weights = np.array([0.0, 400.0, 1.0]), np.array([0.5, 0.0025, 0.0])
    factors = equalization.factors_of(weights, values)
    np.testing.assert_array_equal(factors, [2.0**-9] * 3)
    np.testing.assert_array_equal(equalization.factors_of(np.zeros(2), np.ones(2)), [1, 1])
    assert equalization.coarseness(np.zeros(2), np.ones(2)) == 1


def test_how_coarse_rounding_is():
    """256 values of 1 with weights of 1 beside 256 values of 100 with weights of 1/100."""
    ones = np.ones(256)
    assert equalization.coarseness(ones, 7 * ones) == pytest.approx(1)
    weights, values = np.append(ones, ones / 100), np.append(ones, 100 * ones)
    assert equalization.coarseness(weights, values) == pytest.approx(100 / np.sqrt(2), rel=1e-3)
    factors = equalization.factors_of(weights, values)
    assert equalization.coarseness(weights / factors, values * factors) < 1.5
