"""What a file is made of: as LCE makes it, with the taps' names, also from networks at their start."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import deploy
from bnn_keras.deploy.conversion import borders
from bnn_keras.deploy.conversion.taps import find_taps
from bnn_keras.errors import UserError
from bnn_keras.nn import layers
from bnn_keras.nn.graph import read_graph
from bnn_keras.tflite.bits import pack_signs, unpack_bits
from bnn_keras.tflite.flatbuffer import BCONV, Flatbuffer
from tests.deploy.branches import network_of
from tests.networks import binary_conv, images, network_around, of_one_sign, randomise

keras = tf.keras.layers


def binary_block(x):
    y = keras.ReLU()(keras.BatchNormalization()(layers.GroupedConv2D(32, 3, groups=4, padding="same")(x)))
    return keras.Add()([binary_conv()(keras.BatchNormalization()(y)), x])


def binary_blocks(x):
    y = keras.PReLU(shared_axes=[1, 2])(keras.MaxPooling2D()(keras.BatchNormalization()(binary_block(x))))
    y = binary_conv(pad_values=1.0)(keras.BatchNormalization()(binary_conv(pad_values=1.0)(y)))
    return keras.Concatenate()([layers.ChannelShuffle(4)(y), layers.Bias()(y)])


@pytest.mark.parametrize(
    ("body", "least"), [(binary_block, 10), pytest.param(binary_blocks, 15, marks=pytest.mark.large)]
)
def test_taps_leave_the_file_as_lce_alone_makes_it(body, least):
    import larq_compute_engine as lce

    model = network_around(body)
    ours, theirs = (
        Flatbuffer(file)
        for file in (
            deploy.to_flatbuffer(model, options=deploy.IDENTITY),
            lce.convert_keras_model(model),
        )
    )
    assert len(ours.ops) > least
    assert [op.name for op in ours.ops] == [op.name for op in theirs.ops]
    assert len(ours.graph.outputs) == 1


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("settings", [{}, {"strides": 2}, {"kernel_size": 5}, {"dilation_rate": 2}], ids=str)
def test_images_smaller_than_the_kernel_are_exact(size, settings):
    """LCE's own conversion is wrong there; ours has to give Keras's integers."""
    image = tf.keras.Input((size, size, 32))
    model = randomise(tf.keras.Model(image, binary_conv(**settings)(image)))
    values = np.random.default_rng(0).normal(size=(3, size, size, 32)).astype(np.float32)
    np.testing.assert_array_equal(deploy.run(deploy.to_flatbuffer(model), values), model(values))


def test_strides_larger_than_the_kernel_are_exact():
    """LCE's interpreter starts such a convolution outside of the image if the file says SAME."""
    bodies = {
        "conv": keras.Conv2D(8, 3, 4, "same"),
        "with an activation": keras.Conv2D(8, (2, 3), 4, "same", activation="relu"),
        "depthwise": keras.DepthwiseConv2D(3, 4, "same"),
        "one pixel": keras.Conv2D(8, 1, 2, "same"),
    }
    _, report = deploy.convert(network_of(bodies), images(2))
    assert not report.problems


def test_only_small_images_get_borders_of_their_own():
    def body(x):
        return binary_conv()(keras.AveragePooling2D(8)(binary_conv()(x)))

    counts = [sum(map(borders.need_care, read_graph(network_around(body, size)).calls)) for size in (16, 24)]
    assert counts == [1, 0]


OF_ONE_SIGN = {
    "zeros": {},
    "ones": {"pad_values": 1.0},
    "strided": {"strides": 2},
    "1x1, 20 filters": {"kernel_size": 1, "filters": 20},
    "scaled": {"kernel_quantizer": "magnitude_aware_sign"},
}


def network_of_one_sign(sign, channels):
    """Each of the settings with BatchNorm, some also without it, and on images smaller than the kernel."""

    def without_norm(settings):
        return lambda x: keras.PReLU(shared_axes=[1, 2])(binary_conv(**settings)(x))

    def small(settings):
        return lambda x: binary_conv(**settings)(keras.AveragePooling2D(8)(x))

    bodies = {name: binary_conv(**settings) for name, settings in OF_ONE_SIGN.items()}
    bodies |= {f"{name}, no norm": without_norm(OF_ONE_SIGN[name]) for name in ("zeros", "ones")}
    bodies |= {f"{name}, small": small(OF_ONE_SIGN[name]) for name in ("zeros", "strided", "scaled")}
    # The converter computes a constant of more than 128 KiB with a FILL if its values are all equal.
    bodies["large"] = lambda x: binary_conv(filters=512)(keras.Conv2D(256, 1)(keras.AveragePooling2D(4)(x)))
    if channels != slice(None):
        bodies = {name: bodies[name] for name in ("scaled", "ones, no norm", "zeros, small", "large")}
    return of_one_sign(network_of(bodies), sign, channels), len(bodies)


@pytest.mark.parametrize(
    ("sign", "channels"),
    [*(pytest.param(sign, slice(None), marks=pytest.mark.large) for sign in (1, -1)), (1, slice(3, 4))],
    ids=["all +1", "all -1", "one channel"],
)
def test_kernels_of_one_sign_are_binary_and_the_same_function(sign, channels):
    model, number = network_of_one_sign(sign, channels)
    flatbuffer, report = deploy.convert(model, images(2))
    assert len(report.layers) == number and not report.problems
    names = [op.name for op in Flatbuffer(flatbuffer).ops]
    assert names.count(BCONV) == number and "FILL" not in names


def test_equal_layers_of_the_same_input_may_be_one_operation():
    def halves(x):
        return keras.Concatenate()([keras.PReLU()(binary_conv()(x)), binary_conv()(x)])

    _, report = deploy.convert(of_one_sign(network_around(halves)), images(2))
    assert len(report.layers) == 2 and not report.problems


def test_a_tap_of_a_vanished_operation_is_compared():
    """A sum with 0 is no operation: three taps are one tensor of the file."""

    def body(x):
        x = keras.Conv2D(32, 3, name="conv")(x)
        return keras.Add()([binary_conv()(layers.Bias(name="zeros")(x)), layers.Bias(name="more")(x)])

    model = network_around(body)
    for name in ("zeros", "more"):
        model.get_layer(name).bias.assign(tf.zeros((1, 1, 1, 32)))
    flatbuffer, report = deploy.convert(model, images(2), options=deploy.IDENTITY)
    tensors = Flatbuffer(flatbuffer).tensors_by_name()
    assert tensors["conv"] == tensors["zeros"] == tensors["more"]
    assert {"conv", "zeros", "more"} <= {tap.name for tap in report.taps}
    model.get_layer("more").bias.assign(tf.fill((1, 1, 1, 32), 0.01))
    report = deploy.verify(model, flatbuffer, images(2))
    assert [tap.name for tap in report.taps if tap.problem] == ["more"]


def test_layers_that_compute_nothing_convert():
    bodies = {
        "times zero": lambda x: keras.Multiply()([x, keras.Activation("linear")(x) * 0.0]),
        "turned twice": lambda x: layers.Rotate180()(layers.Rotate180()(x)),
        "mean of one pixel": lambda x: keras.Reshape((1, 1, 32))(
            keras.GlobalAveragePooling2D()(keras.AveragePooling2D(16)(x))
        ),
    }
    assert not deploy.convert(network_of(bodies), images(2))[1].problems


def test_an_output_that_is_an_input_converts():
    image = tf.keras.Input((4, 4, 3))
    model = tf.keras.Model(image, layers.Bias()(image))
    flatbuffer, report = deploy.convert(model, images(2, 4))
    assert not report.problems
    np.testing.assert_array_equal(deploy.run(flatbuffer, images(2, 4)), images(2, 4))


def test_bits_are_packed_as_lce_packs_them():
    model = network_around(binary_conv(name="binary", filters=20))
    file, kernel = Flatbuffer(deploy.to_flatbuffer(model)), model.get_layer("binary").get_weights()[0]
    (conv,) = (op for op in file.ops if op.name == BCONV)
    np.testing.assert_array_equal(file.constant(conv.inputs[1]), pack_signs(kernel))
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
    assert len(report.layers) == 2 and len(find_taps(read_graph(model))) == len(report.taps) > 1


def test_weights_that_are_no_numbers_are_refused():
    model = network_around(binary_conv(name="binary"))
    dense = model.layers[-1]
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel, bias + np.nan])
    with pytest.raises(
        UserError, match=f"weights are finite numbers. Received: .* values of {dense.name}/bias:0"
    ):
        deploy.convert(model, images(1))


def test_values_too_large_for_float32_are_refused():
    model = network_around(lambda x: keras.Conv2D(4, 1, name="second")(keras.Conv2D(4, 1, name="first")(x)))
    for name in ("first", "second"):
        model.get_layer(name).set_weights([1e37 * weight for weight in model.get_layer(name).get_weights()])
    with pytest.raises(UserError, match="is refused"):
        deploy.convert(model, images(1))
