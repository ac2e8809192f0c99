"""Right files pass, and everything that is not right is seen and named."""

import functools

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from flatbuffers import flexbuffers

from bnn_keras import deploy
from bnn_keras.errors import UserError
from bnn_keras.tflite.flatbuffer import BCONV, Flatbuffer
from tests.deploy.branches import network_of, slug
from tests.networks import binary_conv, images, network_around, randomise

keras = tf.keras.layers
sign = lq.quantizers.SteSign


def ones(**settings):
    return binary_conv(pad_values=1.0, **settings)


def norm(x, name=None):
    return keras.BatchNormalization(name=name)(x)


def scaled(**settings):
    return binary_conv(kernel_quantizer="magnitude_aware_sign", **settings)


# Layers that LCE computes rightly, and how many of them are binary.
GOOD = {
    "plain": (1, binary_conv()),
    "valid": (1, binary_conv(padding="valid")),
    "padded with ones": (1, ones()),
    "strided": (1, binary_conv(strides=2)),
    "dilated": (1, binary_conv(dilation_rate=2)),
    "scaled": (1, scaled()),
    "20 channels": (1, lambda x: binary_conv()(keras.Conv2D(20, 1)(x))),
    "join, then sign": (1, lambda x: binary_conv()(keras.Concatenate()([x, keras.ReLU()(x)]))),
    "convolutions in a row": (3, lambda x: binary_conv()(norm(binary_conv()(norm(binary_conv()(x)))))),
    "signs handed on": (3, lambda x: ones()(norm(ones()(norm(ones()(x)))))),
    "relu after zeros": (2, lambda x: binary_conv()(norm(keras.ReLU()(binary_conv()(x))))),
    "relu after ones": (2, lambda x: binary_conv()(norm(keras.ReLU()(ones()(x))))),
    "padding as TensorFlow's": (
        0,
        lambda x: keras.Conv2D(8, 3, 2)(keras.ZeroPadding2D(((0, 1), (0, 1)))(x)),
    ),
    "small scaled": (1, lambda x: scaled()(keras.AveragePooling2D(8)(x))),
    "interpolated": (0, keras.UpSampling2D(interpolation="bilinear")),
    "softmax": (0, keras.Activation("softmax")),
    "prelu and attention": (
        0,
        lambda x: keras.Multiply()(
            [
                keras.PReLU(shared_axes=[1, 2])(x),
                keras.Reshape((1, 1, 32))(keras.Dense(32, "relu")(keras.GlobalAveragePooling2D()(x))),
            ]
        ),
    ),
}


# The other layers have each of these in them, or are tested in test_keras_layers.py.
SIMPLE = (
    *("plain", "valid", "padded with ones", "dilated", "scaled"),
    *("interpolated", "softmax", "prelu and attention"),
)


@functools.cache
def converted(is_simple):
    return deploy.convert(
        network_of({name: body for name, (_, body) in GOOD.items() if (name in SIMPLE) == is_simple}),
        images(2),
    )


def with_large(names, large):
    """The names as parameters, some of them of large tests."""
    return [pytest.param(name, marks=pytest.mark.large if name in large else ()) for name in names]


@pytest.mark.parametrize("name", with_large(GOOD, SIMPLE))
def test_what_lce_gets_right_passes(name):
    _, report = converted(name in SIMPLE)
    layers = [layer for layer in report.layers if layer.name.startswith(f"{slug(name)}/")]
    assert len(layers) == GOOD[name][0] and not any(layer.problem for layer in layers)
    assert any(tap.name.startswith(slug(name)) and tap.ratio < 1 for tap in report.taps)


def test_the_file_has_as_many_binary_convolutions_as_the_model():
    flatbuffer, report = converted(False)
    assert sum(op.name == BCONV for op in Flatbuffer(flatbuffer).ops) == len(report.layers)
    assert report.images == 2


def ste_by_hand(x):
    return x + tf.stop_gradient(tf.sign(x) - x)


def sign_of_tensorflow(x):
    return tf.sign(x)


def one_value_off(kernel):
    flat = tf.reshape(tf.sign(kernel), [-1])
    return tf.reshape(tf.where(tf.range(tf.size(flat)) == 5, 0.5, flat), kernel.shape)


def progressive(kernel):
    return tf.clip_by_value(kernel / 0.05, -1, 1)


def unsigned(**settings):
    return binary_conv(input_quantizer=None, **settings)


def binary_dense():
    return lq.layers.QuantDense(16, kernel_quantizer="ste_sign", **QUANTIZED)


QUANTIZED = {"input_quantizer": "ste_sign"}
UNRECOGNISED = "not in a form that LCE recognises"
ONE_OFF = (
    "1 of 9216 values of its kernel are not plus or minus their channel's scale (one is 0.5); export it "
    "through a hard sign"
)
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
    "one value off": (binary_conv(kernel_quantizer=one_value_off), ONE_OFF),
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
}


# Other networks with the same causes.
ALIKE = ("tf.sign quantizer", "straight-through in the graph", "progressive kernel")


@functools.cache
def trapped(is_alike):
    model = network_of({name: body for name, (body, _) in TRAPS.items() if (name in ALIKE) == is_alike})
    return deploy.verify(model, deploy.to_flatbuffer(model), images(2)).problems


@pytest.mark.parametrize("name", with_large(TRAPS, ALIKE))
def test_every_silent_trap_is_refused_with_its_cause(name):
    found = [problem for problem in trapped(name in ALIKE) if problem.startswith(f"{slug(name)}/")]
    assert any(TRAPS[name][1] in problem for problem in found), found


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (keras.UnitNormalization(), "no bound of its rounding is known for UnitNormalization"),
        (keras.Activation(tf.math.sin), "no bound of its rounding is known for the activation sin"),
        (
            keras.Conv2D(4, 1, activation=tf.math.sin, name="wave"),
            "known for Conv2D with activation sin; give its class a bound with bnn_keras.nn.register.*"
            "--unchecked=wave",
        ),
        (lambda x: x / (tf.abs(x) * 0.0), "differs from the model by up to inf"),
        (lambda x: x * float("nan"), "differs from the model by up to inf"),
        (lambda x: binary_conv()(x * 3.0 - x * 3.0), "rounding leaves every value open"),
    ],
    ids=["layer", "activation", "activation of a convolution", "quotient", "not a number", "open signs"],
)
def test_what_cannot_be_checked_is_refused(body, cause):
    with pytest.raises(UserError, match=cause):
        deploy.convert(network_around(body), images())


@pytest.fixture(scope="module")
def network():
    """A network with each kind of constant once or twice, and its file."""
    image = tf.keras.Input((16, 16, 3))
    x = keras.Conv2D(32, 3, padding="same", name="stem")(image)
    x = norm(keras.Add(name="add")([binary_conv(name="first")(norm(x, "bn")), x]), "sum")
    x = binary_conv(name="small")(keras.AveragePooling2D(8)(x))
    x = ones(name="signs")(norm(ones(name="handed_on")(norm(x))))
    x = keras.Dense(4, name="head")(keras.GlobalAveragePooling2D()(norm(x, "end")))
    model = randomise(tf.keras.Model(image, x, name="users_own"))
    return model, *deploy.convert(model, images())


def damage(flatbuffer, change):
    broken = Flatbuffer(flatbuffer)
    change(broken)
    # Otherwise the old constant would be what is refused.
    broken.drop_unused_constants()
    return broken.pack()


def change_constant(name, place, edit, nth=0):
    """Edit a constant of the nth operation of a name that has one at that place."""

    def change(file):
        ops = [op for op in file.ops if op.name == name and len(op.inputs) > place]
        index = [op.inputs[place] for op in ops if file.is_constant(op.inputs[place])][nth]
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


def zero_channel(values):
    values[0] = 0


# What is changed, and the stage that then differs.
DAMAGES = {
    "a shift before a sign": (change_constant("ADD", 1, shift_first(3.0)), "end"),
    "a scale before a sign": (change_constant("MUL", 1, lambda v: v.__imul__(1.001)), "sum"),
    "a weight bit in the last layer": (change_constant(BCONV, 1, flip_bit, nth=-1), "end"),
    "a channel of a binary kernel": (change_constant(BCONV, 1, zero_channel), "first"),
    "a channel of a float kernel": (change_constant("CONV_2D", 1, zero_channel), "stem"),
    "a scale after a sum": (change_constant(BCONV, 2, set_first(1.01)), "first"),
    "a shift after a sum": (change_constant(BCONV, 3, shift_first(1.0)), "first"),
    "a threshold": (change_constant(BCONV, 4, shift_first(40)), "end"),
    "a border": (change_padding, "first"),
    "a border of a small image": (change_constant("SUB", 1, shift_first(40.0)), "end"),
    "a bias of the stem": (change_constant("CONV_2D", 2, shift_first(0.05)), "stem"),
    "a weight of the classifier": (change_constant("FULLY_CONNECTED", 1, shift_first(0.1)), "output"),
}
# Damages of different stages, each in one file: the stages are compared one by one.
TOGETHER = [
    [
        *("a scale before a sign", "a scale after a sum", "a bias of the stem", "a threshold"),
        "a weight of the classifier",
    ],
    ["a shift before a sign", "a shift after a sum", "a channel of a float kernel"],
    ["a channel of a binary kernel", "a border of a small image"],
    ["a border", "a weight bit in the last layer"],
]


@pytest.mark.parametrize("names", TOGETHER, ids=", ".join)
def test_each_damaged_number_is_refused(network, names):
    model, flatbuffer, report = network
    assert not report.problems

    def change(file):
        for name in names:
            DAMAGES[name][0](file)

    report = deploy.verify(model, damage(flatbuffer, change), images(2))
    assert {tap.name for tap in report.taps if tap.problem} == {DAMAGES[name][1] for name in names}
    with pytest.raises(UserError, match="is refused, nothing was written"):
        deploy.require(report, model.name)


def test_a_weight_bit_names_its_layer(network):
    model, flatbuffer, _ = network
    report = deploy.verify(model, damage(flatbuffer, change_constant(BCONV, 1, flip_bit)), images(2))
    assert [layer.name for layer in report.layers if layer.problem] == ["first"]
    assert "first: 1 bits of its kernel differ" in report.problems[0]


def test_the_file_of_another_model_is_refused(network):
    model, flatbuffer, _ = network
    other = randomise(tf.keras.models.clone_model(model), seed=9)
    assert deploy.verify(other, flatbuffer, images(2)).problems
    renamed = network_around(binary_conv())
    assert "the file has no such tensor: it is another model's" in str(
        deploy.verify(renamed, flatbuffer, images(2)).problems
    )
    with pytest.raises(UserError, match="identifier TFL3"):
        deploy.verify(other, b"no flatbuffer at all", images(2))
