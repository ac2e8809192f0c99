"""Estimates of instructions, beside counts of executed instructions of LCE's real AArch64 kernels."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import accounting, deploy
from bnn_keras.accounting.cost import COLUMNS, estimate
from bnn_keras.accounting.cost.unit_costs import TABLE, Costs
from bnn_keras.accounting.cost.work import work_of
from bnn_keras.cli.benchmark.convert import randomise_statistics
from bnn_keras.deploy.conversion.hardening import harden
from bnn_keras.nn import layers
from bnn_keras.tflite.flatbuffer import Flatbuffer
from tests.networks import binary_conv, randomise, tiny_melius

keras = tf.keras.layers


@functools.cache
def operations():
    """Single operations that were counted alone, by the names of their layers."""
    image = tf.keras.Input((28, 28, 320))
    outputs = [
        keras.Conv2D(160, 1, use_bias=False, name="pointwise")(image),
        binary_conv(filters=64, name="binary")(image),
        keras.MaxPooling2D(2, name="max")(keras.Conv2D(64, 1, name="before")(image)),
        keras.PReLU(shared_axes=[1, 2], name="slopes")(image),
        layers.Bias(name="shift")(image),
    ]
    pooled = [keras.GlobalAveragePooling2D(name=f"mean{i}")(x) for i, x in enumerate(outputs)]
    model = randomise(tf.keras.Model(image, keras.Concatenate(name="all")(pooled)))
    found = estimate(Flatbuffer(deploy.to_flatbuffer(model)))
    return {operation.name: operation for operation in found.operations}


@pytest.mark.parametrize(
    ("name", "unit", "tflite", "xnnpack"),
    [
        ("pointwise", 28 * 28 * 320 * 160, 0.349, 0.343),
        ("binary", 1, 4.29e6, 4.29e6),
        ("max", 14 * 14 * 64, 15.7, 6.9),
        ("slopes", 28 * 28 * 320, 1.56, 2.04),
        ("shift", 28 * 28 * 320, 1.57, 1.54),
        ("mean0", 28 * 28 * 160, 1.98, 0.73),
    ],
)
def test_single_operations_cost_what_was_counted(name, unit, tflite, xnnpack):
    found = operations()[name].instructions
    assert found["tflite"] / unit == pytest.approx(tflite, rel=0.1)
    assert found["xnnpack"] / unit == pytest.approx(xnnpack, rel=0.1)


def test_macs_are_those_of_the_model():
    model = tiny_melius(96, 32)
    found = estimate(Flatbuffer(deploy.to_flatbuffer(model, options=deploy.IDENTITY)))
    profile = accounting.profile(model)
    binary = sum(one.work.macs for one in found.operations if one.work.is_binary)
    assert binary == profile.bops and found.floor == profile.bops * 3 / 128
    # The dense layer is none of them, as in the papers' counts.
    assert found.kinds["CONV_2D"].macs == profile.flops


def test_every_unit_of_the_table_is_one_that_operations_do():
    """A unit under another name would silently cost nothing."""
    units = {unit for one in operations().values() for unit in one.work.units}
    file = Flatbuffer(deploy.to_flatbuffer(tiny_melius(32)))
    for op, operator in zip(file.ops, file.graph.operators, strict=True):
        units |= set(work_of(file, op, operator).units)
    units |= {"output", "weight"}  # of convolutions over one pixel, and with weights of 4 bits
    assert {unit for costs in TABLE.values() for unit in costs} == units


def test_dot_products_count_where_the_table_has_them():
    costs = Costs(0.3, 0.29, 0.13, 0.09)
    assert [costs.column(column) for column in COLUMNS] == [0.3, 0.29, 0.13, 0.09]
    assert [Costs(7).column(column) for column in COLUMNS] == [7] * 4
    assert [Costs(7, 5).column(column) for column in COLUMNS] == [7, 5, 7, 5]


def test_an_int8_file_of_the_plain_converter():
    image = tf.keras.Input((16, 16, 8))
    model = randomise(tf.keras.Model(image, keras.Conv2D(16, 1, name="conv")(image)))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[np.ones((1, 16, 16, 8), np.float32)] for _ in range(2)]
    found = estimate(Flatbuffer(converter.convert()))
    assert found.has_int8 and not found.uncounted
    macs = 16 * 16 * 8 * 16
    assert found.kinds["CONV_2D"].instructions == pytest.approx(
        {
            "tflite": 0.269 * macs,
            "xnnpack": 0.267 * macs,
            "tflite_dot": 0.1 * macs,
            "xnnpack_dot": 0.084 * macs,
        }
    )


# Counted with the real kernels: millions, of TFLite's own kernels and of XNNPACK, and of kinds of operations.
# The normalisation of the image was a SUB in the files that were counted, and is an ADD now.
COUNTED = {
    "meliusnet22": (
        305.8,
        265.6,
        {"LceBconv2d": 138.1, "CONV_2D": 89.7, "MUL": 20.7, "ADD": 19.2 + 4.4, "CONCATENATION": 14.6,
         "SPLIT": 5.9, "MAX_POOL_2D": 9.4, "LceQuantize": 3.1},
        {"LceBconv2d": 138.1, "CONV_2D": 58.4, "MUL": 16.7, "ADD": 17.4, "LceQuantize": 3.1},
    ),
    "bnext_t": (
        250.1,
        224.5,
        {"LceBconv2d": 150.5, "CONV_2D": 9.5, "MUL": 21.3, "ADD": 15.4 + 4.5, "CONCATENATION": 2.2,
         "AVERAGE_POOL_2D": 6.1, "MEAN": 24.4, "PRELU": 11.5},
        {"LceBconv2d": 150.4},
    ),
    "larq_zoo": (
        299.8,
        269.0,
        {"LceBconv2d": 138.1, "CONV_2D": 89.7, "MUL": 17.6, "ADD": 24.2, "CONCATENATION": 10.3, "SPLIT": 5.9,
         "MAX_POOL_2D": 7.1, "LceQuantize": 3.1},
        {"LceBconv2d": 138.1},
    ),
}  # fmt: skip


def convert(name):
    """A file as it was counted."""
    if name == "larq_zoo":
        import larq_compute_engine as lce
        import larq_zoo

        model = larq_zoo.literature.MeliusNet22(weights=None)
        randomise_statistics(model)
        return lce.convert_keras_model(model)
    model = zoo.build(name)
    randomise_statistics(model)
    return deploy.to_flatbuffer(harden(model), options=deploy.IDENTITY)


@pytest.mark.large
@pytest.mark.parametrize("name", COUNTED)
def test_whole_networks_cost_what_was_counted(name):
    tflite, xnnpack, kinds, kinds_xnnpack = COUNTED[name]
    found = estimate(Flatbuffer(convert(name)))
    for column, total, of_kinds in (("tflite", tflite, kinds), ("xnnpack", xnnpack, kinds_xnnpack)):
        assert found.total.instructions[column] / 1e6 == pytest.approx(total, rel=0.04)
        for kind, millions in of_kinds.items():
            estimated = found.kinds[kind].instructions[column] / 1e6
            assert estimated == pytest.approx(millions, rel=0.1), (kind, column)
