"""Every constant of a file belongs to a layer that needs it; any other one is named.

The files are not rewritten, so that the bytes of each layer are known by hand.
"""

import copy
import math

import numpy as np
import pytest
import tensorflow as tf
from larq_compute_engine.mlir.python import tflite_schema as schema

from bnn_keras import accounting, deploy
from bnn_keras.nn import layers
from bnn_keras.tflite.flatbuffer import BCONV, WORD, Flatbuffer
from tests.networks import binary_conv, images, network_around, tiny_melius

keras = tf.keras.layers
FLOAT = 4  # bytes


@pytest.fixture(scope="module")
def melius():
    model = tiny_melius(32, blocks=(1, 1, 1), channels=(32, 32))
    return model, *deploy.convert(model, images(2, 32), options=deploy.IDENTITY)


def test_a_meliusnet_is_binary_the_same_function_and_as_small_as_it_can_be(melius):
    model, flatbuffer, report = melius
    assert len(report.layers) == sum(row.bops > 0 for row in accounting.profile(model).rows) == 6
    assert report.worst.ratio < 1 and not report.exceptions
    stages = {"stem", "section1_block1_dense", "section1_block1_improvement", "section1_transition", "output"}
    assert stages <= {tap.name for tap in report.taps}
    assert report.storage.weights + report.storage.metadata == len(flatbuffer)


def bytes_by_hand(layer):
    """What a file stores of a layer, without scales of 1, shifts of 0 and borders."""
    if isinstance(layer, layers.QuantConv2D):
        height, width, channels, filters = layer.kernel.shape
        return height * width * math.ceil(channels / WORD) * WORD // 8 * filters
    if isinstance(layer, keras.BatchNormalization):
        # The stem's first one is a part of the convolution before it.
        return 0 if layer.name == "stem/bn1" else 2 * FLOAT * layer.gamma.shape[0]
    if isinstance(layer, layers.Normalize):
        return 2 * FLOAT * 3
    return FLOAT * sum(math.prod(weight.shape) for weight in layer.weights)


def test_every_layer_has_the_bytes_that_it_needs(melius):
    model, _, report = melius
    for layer in model.layers:
        more = report.storage.layers.get(layer.name, 0) - bytes_by_hand(layer)
        if isinstance(layer, layers.QuantConv2D):
            # A border in the section of 2x2 maps; a scale and a shift, unless another layer has the same.
            border = 2 * 2 * 64 * FLOAT if layer.name.startswith("section3") else 0
            assert more - border in (0, 64 * FLOAT, 2 * 64 * FLOAT), layer.name
        elif isinstance(layer, keras.Conv2D):
            # A bias of the operation, unless another layer has the same.
            assert more in (0, 8 * FLOAT, 32 * FLOAT), layer.name
        else:
            assert more == 0, layer.name


@pytest.fixture(scope="module")
def small():
    def body(x):
        return keras.Add()([binary_conv(name="binary")(keras.BatchNormalization(name="bn")(x)), x])

    model = network_around(body)
    return model, deploy.to_flatbuffer(model, options=deploy.IDENTITY)


def problems(small, change):
    """What verification says of the storage of a changed file."""
    model, flatbuffer = small
    file = Flatbuffer(flatbuffer)
    change(file)
    return deploy.verify(model, file.pack(), images(2)).storage.problems


def add_constant(file, values):
    """The index of a new tensor."""
    tensor = schema.TensorT()
    number = sum(tensor.name.startswith(b"stray") for tensor in file.graph.tensors)
    tensor.name = f"stray{number or ''}".encode()
    tensor.shape, tensor.type = values.shape, schema.TensorType.FLOAT32
    file.graph.tensors.append(tensor)
    file.set_constant(len(file.graph.tensors) - 1, values)
    return len(file.graph.tensors) - 1


def test_a_constant_of_no_operation_is_named(small):
    found = problems(small, lambda file: add_constant(file, np.ones(1000, np.float32)))
    assert found == ["the file stores 4,000 bytes as 'stray' that no operation takes"]


def test_a_shift_for_each_pixel_is_named_with_its_layer(small):
    def spread(file):
        """The same function, with a constant as large as the image."""
        number = next(i for i, op in enumerate(file.ops) if op.name == "ADD")
        shift = file.constant(file.ops[number].inputs[1])
        index = add_constant(file, np.broadcast_to(shift, (1, 16, 16, 32)).copy())
        file.graph.operators[number].inputs = np.array([file.ops[number].inputs[0], index], np.int32)

    assert problems(small, spread)[0].startswith(
        "bn: the operation ADD stores 32,768 bytes (8,192 values) more than the weights of the layer explain"
    )


def test_one_vector_too_many_is_named_with_its_layer(small):
    def repeat(file):
        """Another addition, of zeros, after that of the BatchNorm."""
        number = next(i for i, op in enumerate(file.ops) if op.name == "ADD")
        first = file.graph.operators[number]
        second = copy.deepcopy(first)
        between = add_constant(file, np.zeros((1, 16, 16, 32), np.float32))
        file.graph.tensors[between].buffer = 0
        second.inputs = np.array([between, add_constant(file, np.full(32, -0.0, np.float32))], np.int32)
        second.outputs, first.outputs = first.outputs, np.array([between], np.int32)
        file.graph.operators.insert(number + 1, second)

    assert problems(small, repeat)[0].startswith("bn: the operation ADD stores 128 bytes (32 values) more")


def test_a_binary_convolution_of_no_layer_is_named(small):
    model, flatbuffer = small
    file = Flatbuffer(flatbuffer)
    number = next(i for i, op in enumerate(file.ops) if op.name == BCONV)
    extra = copy.deepcopy(file.graph.operators[number])
    result = copy.copy(file.graph.tensors[int(extra.outputs[0])])
    result.name = b"extra"
    file.graph.tensors.append(result)
    extra.outputs = np.array([len(file.graph.tensors) - 1], np.int32)
    file.graph.operators.insert(number, extra)
    found = deploy.verify(model, file.pack(), images(2)).problems
    assert found == [f"operation {number} of the file, LceBconv2d, leads to no tensor that was compared"]


def test_a_binary_layer_that_stays_float_has_its_bytes_named():
    model = network_around(binary_conv(name="binary", pad_values=-1.0))
    report = deploy.verify(model, deploy.to_flatbuffer(model), images(2))
    assert report.storage.layers["binary"] == 9 * 32 * 32 * FLOAT + 32 * FLOAT
    assert "binary: stays float (36,864 bytes in place of 1,152): it pads with -1" in report.problems[0]
