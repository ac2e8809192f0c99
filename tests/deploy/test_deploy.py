"""Converted files against their models: right ones pass, and everything that is not right is seen."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from flatbuffers import flexbuffers

from bnn_keras import accounting, deploy
from bnn_keras.deploy.conversion import borders
from bnn_keras.deploy.conversion.taps import find_taps
from bnn_keras.errors import UserError
from bnn_keras.nn.graph import read_graph
from bnn_keras.tflite.flatbuffer import BCONV, Flatbuffer, pack_signs, unpack_bits
from tests.networks import binary_conv, images, network_around, randomise, tiny_melius

keras = tf.keras.layers
sign = lq.quantizers.SteSign


def ste_by_hand(x):
    return x + tf.stop_gradient(tf.sign(x) - x)


def sign_of_tensorflow(x):
    return tf.sign(x)


def one_value_off(kernel):
    flat = tf.reshape(tf.sign(kernel), [-1])
    return tf.reshape(tf.where(tf.range(tf.size(flat)) == 5, 0.5, flat), kernel.shape)


def progressive(kernel):
    return tf.clip_by_value(kernel / 0.05, -1, 1)


def ones():
    return binary_conv(pad_values=1.0)


def unsigned(**settings):
    return binary_conv(input_quantizer=None, **settings)


def binary_dense():
    return lq.layers.QuantDense(16, kernel_quantizer="ste_sign", **QUANTIZED)


def norm(x):
    return keras.BatchNormalization()(x)


GOOD = {
    "plain": binary_conv(),
    "valid": binary_conv(padding="valid"),
    "padded with ones": binary_conv(pad_values=1.0),
    "strided": binary_conv(strides=2),
    "dilated": binary_conv(dilation_rate=2),
    "scaled": binary_conv(kernel_quantizer="magnitude_aware_sign"),
    "20 channels": lambda x: binary_conv()(keras.Conv2D(20, 1)(x)),
    "join, then sign": lambda x: binary_conv()(keras.Concatenate()([x, keras.ReLU()(x)])),
    "convolutions in a row": lambda x: binary_conv()(norm(binary_conv()(norm(binary_conv()(x))))),
    "signs handed on": lambda x: ones()(norm(ones()(norm(ones()(x))))),
    "relu behind zeros": lambda x: binary_conv()(norm(keras.ReLU()(binary_conv()(x)))),
    "relu behind ones": lambda x: binary_conv()(norm(keras.ReLU()(binary_conv(pad_values=1.0)(x)))),
    "padding as TensorFlow's": lambda x: keras.Conv2D(8, 3, 2)(keras.ZeroPadding2D(((0, 1), (0, 1)))(x)),
    "prelu and attention": lambda x: keras.Multiply()(
        [
            keras.PReLU(shared_axes=[1, 2])(x),
            keras.Reshape((1, 1, 32))(keras.Dense(32, "relu")(keras.GlobalAveragePooling2D()(x))),
        ]
    ),
}  # fmt: skip

QUANTIZED = {"input_quantizer": "ste_sign"}
UNRECOGNISED = "not in a form that LCE recognises"
TRAPS = {
    "straight-through by hand": (binary_conv(input_quantizer=ste_by_hand), "input quantizer ste_by_hand"),
    "tf.sign quantizer": (binary_conv(input_quantizer=sign_of_tensorflow), "input quantizer sign_of_tens"),
    "tf.sign in the graph": (lambda x: unsigned()(tf.sign(x)), UNRECOGNISED),
    "straight-through in the graph": (lambda x: unsigned()(ste_by_hand(x)), UNRECOGNISED),
    "padded with -1": (binary_conv(pad_values=-1.0), "pads with -1"),
    "zeros between sign and convolution": (
        lambda x: unsigned(padding="valid")(keras.ZeroPadding2D(1)(sign()(x))),
        "padded with zeros",
    ),
    "sign, then join": (
        lambda x: unsigned()(keras.Concatenate()([sign()(x), sign()(keras.ReLU()(x) - 0.3)])),
        "taken before they are joined",
    ),
    "one value off": (binary_conv(kernel_quantizer=one_value_off), "1 of 9216 values of its kernel"),
    "progressive kernel": (binary_conv(kernel_quantizer=progressive), "export it through a hard sign"),
    "depthwise": (
        lq.layers.QuantDepthwiseConv2D(3, padding="same", depthwise_quantizer="ste_sign", **QUANTIZED),
        "no binary depthwise",
    ),
    "dense": (
        lambda x: keras.Reshape((1, 1, 16))(binary_dense()(keras.GlobalAveragePooling2D()(x))),
        "no binary dense",
    ),
    "groups": (binary_conv(groups=4), "convolution in groups"),
    "symmetric padding before a stride": (
        lambda x: keras.Conv2D(32, 3, strides=2)(keras.ZeroPadding2D(1)(x)),
        "fuses into another padding",
    ),
    "ones around signs before a stride": (
        lambda x: unsigned(padding="valid", strides=2)(
            tf.pad(sign()(x), [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=1.0)
        ),
        "fuses into another padding",
    ),
    "unknown layer": (keras.UnitNormalization(), "no bound of its rounding"),
    "not a number": (lambda x: x * float("nan"), "differs from the model by up to inf"),
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_what_lce_gets_right_passes(body):
    model = network_around(body)
    flatbuffer, report = deploy.convert(model, images())
    assert report.images == 4
    assert sum(op.name == BCONV for op in Flatbuffer(flatbuffer).ops) == len(report.layers)


@pytest.mark.parametrize(("body", "cause"), TRAPS.values(), ids=TRAPS)
def test_every_silent_trap_is_refused_with_its_cause(body, cause):
    with pytest.raises(UserError, match=cause):
        deploy.convert(network_around(body), images())


@pytest.fixture(scope="module")
def melius():
    model = tiny_melius()
    flatbuffer, report = deploy.convert(model, images(6, 64))
    return model, flatbuffer, report


def test_meliusnet_is_binary_the_same_function_and_as_small_as_accounted(melius):
    model, flatbuffer, report = melius
    counts = accounting.profile(model)
    assert len(report.layers) == sum(row.bops > 0 for row in counts.rows) == 8
    assert report.storage.weights + report.storage.metadata == len(flatbuffer)
    assert {
        "stem",
        "section1_block1_dense",
        "section1_block1_improvement",
        "section1_transition",
        "output",
    } <= {tap.name for tap in report.taps}
    assert max(tap.ratio for tap in report.taps) < 1 and not report.exceptions


def test_taps_leave_the_file_as_lce_alone_makes_it():
    import larq_compute_engine as lce

    model = tiny_melius(96)  # no map is smaller than a kernel
    ours, theirs = Flatbuffer(deploy.to_flatbuffer(model)), Flatbuffer(lce.convert_keras_model(model))
    assert [op.name for op in ours.ops] == [op.name for op in theirs.ops]
    assert len(ours.graph.outputs) == 1


def damage(flatbuffer, change):
    broken = Flatbuffer(flatbuffer)
    change(broken)
    return broken.pack()


def change_constant(name, place, edit, nth=0, shape=None):
    """Edit a constant of the nth operation of a name."""

    def change(file):
        ops = [
            op for op in file.ops
            if op.name == name and len(op.inputs) > place and op.inputs[place] >= 0
            and file.is_constant(op.inputs[place])
            and (shape is None or len(file.shape(op.inputs[place])) == shape)
        ]  # fmt: skip
        index = ops[nth].inputs[place]
        values = file.constant(index).copy()
        edit(values)
        file.set_constant(index, values)

    return change


def change_padding(file):
    index = next(i for i, op in enumerate(file.ops) if op.name == BCONV)
    operator = file.graph.operators[index]
    options = flexbuffers.Loads(bytes(operator.customOptions))
    assert options["pad_values"] == 0
    operator.customOptions = np.frombuffer(flexbuffers.Dumps({**options, "pad_values": 1}), np.uint8)


def flip_bit(values):
    values.reshape(-1)[0] ^= 1


def set_first(value):
    return lambda values: values.reshape(-1).__setitem__(0, value)


def shift_first(by):
    def shift(values):
        values.reshape(-1)[0] += by

    return shift


def shift_all(by):
    return lambda values: values.__iadd__(by)


def zero_channel(values):
    values[0] = 0


DAMAGES = {
    "a threshold": change_constant("ADD", 1, shift_first(0.01), nth=2),
    "a shift of the head": change_constant("ADD", 1, shift_all(0.001), nth=-1),
    "a scale before a sign": change_constant("MUL", 1, lambda v: v.__imul__(1.001), nth=3),
    "a weight bit": change_constant(BCONV, 1, flip_bit),
    "a weight bit, in the last layer": change_constant(BCONV, 1, flip_bit, nth=-1),
    "a channel of a binary kernel": change_constant(BCONV, 1, zero_channel, nth=3),
    "a channel of a float kernel": change_constant("CONV_2D", 1, zero_channel, nth=3),
    "a scale behind a sum": change_constant(BCONV, 2, set_first(1.01)),
    "a shift behind a sum": change_constant(BCONV, 3, shift_first(1.0)),
    "a border": change_padding,
    "a border of a small image": change_constant("SUB", 1, shift_first(1.0), nth=1),
    "a bias of the stem": change_constant("CONV_2D", 2, shift_first(0.05)),
    "a weight of the classifier": change_constant("FULLY_CONNECTED", 1, shift_first(0.1)),
}  # fmt: skip


@pytest.mark.parametrize("change", DAMAGES.values(), ids=DAMAGES)
def test_one_damaged_number_is_refused(melius, change):
    model, flatbuffer, _ = melius
    damaged = damage(flatbuffer, change)
    assert damaged != flatbuffer
    report = deploy.verify(model, damaged, images(2, 64))
    assert report.problems
    with pytest.raises(UserError, match="is refused, nothing was written"):
        deploy.require(report, model.name)


def test_a_damaged_threshold_inside_signs_handed_on_is_refused():
    model = network_around(GOOD["signs handed on"])
    flatbuffer, _ = deploy.convert(model, images())
    damaged = damage(flatbuffer, change_constant(BCONV, 4, shift_first(40)))
    assert deploy.verify(model, damaged, images()).problems


def test_a_weight_bit_names_its_layer(melius):
    model, flatbuffer, _ = melius
    report = deploy.verify(model, damage(flatbuffer, DAMAGES["a weight bit"]), images(2, 64))
    assert [layer.name for layer in report.layers if layer.problem] == ["section1_block1_dense/conv"]
    assert "1 bits of its kernel differ" in report.problems[0]


def test_the_file_of_another_model_is_refused(melius):
    _, flatbuffer, _ = melius
    other = randomise(tiny_melius(), seed=9)
    assert deploy.verify(other, flatbuffer, images(2, 64)).problems
    with pytest.raises(UserError, match="identifier TFL3"):
        deploy.verify(other, b"no flatbuffer at all", images(2, 64))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("settings", [{}, {"strides": 2}, {"kernel_size": 5}, {"dilation_rate": 2}], ids=str)
def test_images_smaller_than_the_kernel_are_exact(size, settings):
    """LCE's own conversion is wrong there; ours has to give Keras's integers."""
    image = tf.keras.Input((size, size, 32))
    model = randomise(tf.keras.Model(image, binary_conv(**settings)(image)))
    values = np.random.default_rng(0).normal(size=(3, size, size, 32)).astype(np.float32)
    np.testing.assert_array_equal(
        deploy.run(deploy.to_flatbuffer(model), values), model.predict(values, verbose=0)
    )


def test_only_small_images_get_borders_of_their_own():
    small, large = (sum(map(borders.need_care, read_graph(tiny_melius(n)).calls)) for n in (64, 96))
    assert (small, large) == (2, 0)


def test_bits_are_packed_as_lce_packs_them(melius):
    model, flatbuffer, _ = melius
    file = Flatbuffer(flatbuffer)
    kernel = model.get_layer("section1_block1_dense/conv").get_weights()[0]
    first = next(op for op in file.ops if op.name == BCONV)
    np.testing.assert_array_equal(file.constant(first.inputs[1]), pack_signs(kernel))
    np.testing.assert_array_equal(
        np.moveaxis(unpack_bits(pack_signs(kernel), kernel.shape[2]), 0, -1), kernel < 0
    )


def test_models_of_another_form_are_refused():
    image = tf.keras.Input((None, None, 3))
    with pytest.raises(UserError, match="fixed image size"):
        deploy.to_flatbuffer(tf.keras.Model(image, keras.Conv2D(2, 3)(image)))
    image = tf.keras.Input((8, 8, 3))
    with pytest.raises(UserError, match="one input and one output"):
        deploy.to_flatbuffer(tf.keras.Model(image, [keras.ReLU()(image), keras.Flatten()(image)]))
    with pytest.raises(UserError, match="no graph of layers"):
        deploy.to_flatbuffer(tf.keras.Sequential([keras.Dense(2)]))


def test_nested_and_shared_layers_convert():
    image = tf.keras.Input((8, 8, 3))
    conv = binary_conv(filters=3)
    inner = tf.keras.Sequential([keras.BatchNormalization(), conv, keras.BatchNormalization()], name="inner")
    model = randomise(tf.keras.Model(image, keras.GlobalAveragePooling2D()(inner(inner(image)) + image)))
    _, report = deploy.convert(model, images(3, 8))
    assert len(report.layers) == 2 and find_taps(read_graph(model))
