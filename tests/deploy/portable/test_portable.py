"""Files without custom operations: exact sums of signs with all kernels, and refusals that name the layer."""

import functools

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import deploy
from bnn_keras.deploy import rewrite
from bnn_keras.deploy.bundle.size import Size
from bnn_keras.deploy.portable import steps
from bnn_keras.deploy.verification import sums
from bnn_keras.errors import UserError
from bnn_keras.nn.graph import read_graph
from bnn_keras.settings.runtime import BUILTIN
from bnn_keras.tflite.flatbuffer import KERNEL, Flatbuffer
from bnn_keras.tflite.interpreter import LITERT, LITERT_PLAIN, Interpreter, kernels_of
from bnn_keras.tflite.operations import CUSTOM_OPERATIONS
from tests.deploy.branches import network_of, slug
from tests.networks import binary_conv, images, network_around
from zoo import meliusnet

keras = tf.keras.layers
PLAIN = rewrite.Options(BUILTIN, rewrite.NAMES)


def norm(x):
    return keras.BatchNormalization()(x)


# Forms of binary convolutions, with the number of them.
FORMS = {
    "zeros": (1, binary_conv()),
    "ones": (1, binary_conv(pad_values=1.0)),
    "minus ones": (1, binary_conv(pad_values=-1.0)),  # LCE leaves it in 32 bits
    "valid": (1, binary_conv(padding="valid")),
    "strided": (1, binary_conv(strides=2)),
    "dilated": (1, binary_conv(dilation_rate=2)),
    "1x1": (1, binary_conv(kernel_size=1)),
    "larger than the image": (1, lambda x: binary_conv(kernel_size=5)(keras.AveragePooling2D(8)(x))),
    "scaled": (1, binary_conv(kernel_quantizer="magnitude_aware_sign")),
    "bias and relu": (1, binary_conv(use_bias=True, activation="relu")),
    "relu after it": (1, lambda x: keras.ReLU()(norm(binary_conv()(x)))),
    "20 channels": (1, lambda x: binary_conv()(keras.Conv2D(20, 1)(x))),
    "in a row, one input": (
        3,
        lambda x: keras.Add()([binary_conv()(norm(binary_conv()(x))), binary_conv()(x)]),
    ),
    "joined": (2, lambda x: binary_conv()(norm(keras.Concatenate()([x, binary_conv()(norm(x))])))),
}


# Other sizes and borders of the same operations.
LARGE = ("ones", "valid", "strided", "dilated", "1x1", "relu after it", "in a row, one input")
USUAL = [name for name in FORMS if name not in LARGE]


@pytest.mark.parametrize(
    "names", [USUAL, pytest.param(LARGE, marks=pytest.mark.large)], ids=["usual", "others"]
)
def test_all_forms_are_binary_exact_and_the_same_function(names):
    forms = {name: FORMS[name] for name in names}
    model = network_of({name: body for name, (_, body) in forms.items()})
    flatbuffer, report = deploy.convert(model, images(2), options=PLAIN)
    for name, (number, _) in forms.items():
        layers = [layer for layer in report.layers if layer.name.startswith(f"{slug(name)}/")]
        assert len(layers) == number and not any(layer.problem for layer in layers), name
    file = Flatbuffer(flatbuffer)
    assert not {op.name for op in file.ops} & set(CUSTOM_OPERATIONS)
    kernels = [file.constant(op.inputs[KERNEL]) for op in file.ops if op.name == "CONV_2D"]
    total = sum(number for number, _ in forms.values())
    assert sum(kernel.dtype == np.int8 for kernel in kernels) == total
    assert report.sums.kernels == (LITERT, LITERT_PLAIN) and report.sums.wrong == 0
    lines = "\n".join(deploy.lines(report))
    assert f"{total} of {total} binary layers are CONV_2D with signs in int8" in lines
    assert f"sums of signs: {report.sums.number:,} of {report.sums.number:,} are exact" in lines


@pytest.mark.parametrize(("size", "settings"), [(8, {}), (9, {"strides": 2}), (1, {"kernel_size": 1})])
def test_sums_are_those_of_keras(size, settings):
    """Without an operation between the convolution and the output, also where the input is exactly 0."""
    image = tf.keras.Input((size, size, 300))
    model = tf.keras.Model(image, binary_conv(**settings)(image))
    pixels = np.random.default_rng(0).integers(-1, 2, (2, size, size, 300)).astype(np.float32)
    flatbuffer, expected = deploy.to_flatbuffer(model, options=PLAIN), model(pixels).numpy()
    assert np.abs(expected).max() > 20
    for kernels in (LITERT, LITERT_PLAIN):
        found = Interpreter(flatbuffer, kernels=kernels).predict(pixels)
        np.testing.assert_array_equal(np.rint(found), expected)
        assert np.abs(found - expected).max() < 1e-3


@np.errstate(over="ignore")
def test_steps_are_exact_at_their_thresholds():
    rng = np.random.default_rng(0)
    exponents = rng.integers(-60, 20, 2000)
    threshold = np.concatenate([np.zeros(1), rng.normal(size=2000) * 2.0**exponents]).astype(np.float32)
    offset = steps.offset_of(threshold)
    below, above = (np.nextafter(threshold, np.float32(end)) for end in (-np.inf, np.inf))
    for x in (threshold, above, threshold + 1, np.float32(1e30) + threshold):
        assert (np.clip(x * np.float32(steps.STEEP) + offset, 0, 6) == 6).all()
    below[0] = -1e-29  # nearer to 0 than the step is steep
    for x in (below, threshold - np.abs(threshold) - np.float32(1e-20), np.float32(-1e30) + threshold):
        assert (np.clip(x * np.float32(steps.STEEP) + offset, 0, 6) == 0).all()


def test_sums_of_zero_are_no_sign_that_rounding_chooses():
    """A sum of signs is often exactly 0: a convolution that takes it gets +1, as in Keras."""
    image = tf.keras.Input((6, 6, 32))
    first = binary_conv(padding="valid", filters=64)
    model = tf.keras.Model(image, binary_conv(padding="valid")(first(image)))
    pixels = np.random.default_rng(0).normal(size=(4, 6, 6, 32)).astype(np.float32)
    assert (first(pixels).numpy() == 0).mean() > 0.03
    flatbuffer = deploy.to_flatbuffer(model, options=PLAIN)
    for kernels in (LITERT, LITERT_PLAIN):
        found = Interpreter(flatbuffer, kernels=kernels).predict(pixels)
        np.testing.assert_array_equal(np.rint(found), model(pixels))


def test_a_rewritten_network_has_this_form_too():
    """Thresholds become those of the steps, also of joined parts."""
    model = network_around(lambda x: meliusnet.melius_block(x, 32, "block"))
    flatbuffer, report = deploy.convert(model, images(2), options=rewrite.Options(BUILTIN))
    assert report.sums.wrong == 0 and len(report.layers) == 2
    kinds = [op.name for op in Flatbuffer(flatbuffer).ops]
    assert kinds.count("DEPTHWISE_CONV_2D") >= 2 and "LceQuantize" not in kinds


def damaged_kernel(file):
    """One sign of a kernel turned."""
    index = binary(file)[0].inputs[KERNEL]
    kernel = file.constant(index).copy()
    kernel.flat[5] *= -1
    file.set_quantized(index, kernel, file.scales(index))


def damaged_scale(file):
    """Of the last convolution: what follows the first one is signs, which a scale does not change."""
    index = binary(file)[-1].inputs[KERNEL]
    file.set_quantized(index, file.constant(index), file.scales(index) * 1.001)


def gentle_steps(file):
    """Steps with a slope, so that the convolutions take other numbers than 0 and 6."""
    op = next(op for op in file.ops if op.name == "DEPTHWISE_CONV_2D")
    file.set_constant(op.inputs[KERNEL], np.full(file.shape(op.inputs[KERNEL]), 1e-3, np.float32))


def binary(file):
    convolutions = [op for op in file.ops if op.name == "CONV_2D"]
    return [op for op in convolutions if file.constant(op.inputs[KERNEL]).dtype == np.int8]


@pytest.mark.parametrize(
    "damages",
    [
        {
            damaged_kernel: "1 bits of its kernel differ in the file",
            gentle_steps: "sums of signs are not exact",
        },
        {damaged_scale: "times what rounding explains"},
    ],
    ids=["kernel and steps", "scale"],
)
def test_what_is_wrong_is_named(damages):
    model, flatbuffer, pixels = small()
    file = Flatbuffer(flatbuffer)
    for damage in damages:
        damage(file)
    problems = "; ".join(deploy.verify(model, file.pack(), pixels).problems)
    assert all(sentence in problems for sentence in damages.values()), problems


@functools.cache
def small():
    model, pixels = network_around(lambda x: binary_conv()(norm(binary_conv()(x)))), images(2)
    return model, deploy.to_flatbuffer(model, options=PLAIN), pixels


def test_a_file_says_how_much_larger_it_is():
    assert Size(300, 120).sentence.endswith("300 bytes, 2.50 times the 120 bytes of the file for LCE")
    assert Size(300, None).sentence.endswith("runtime; LCE cannot convert this network")


def test_the_kernels_are_those_of_the_file():
    _, flatbuffer, _ = small()
    assert kernels_of(Flatbuffer(flatbuffer)) == (LITERT, LITERT_PLAIN)
    lce = deploy.to_flatbuffer(small()[0], options=rewrite.IDENTITY)
    assert kernels_of(Flatbuffer(lce)) == ("lce",)
    assert Interpreter(flatbuffer).kernels == LITERT


def halves(kernel):
    return tf.where(
        tf.range(kernel.shape[-1]) % 2 == 0, tf.sign(kernel), 0.5 * tf.cast(kernel > 0, kernel.dtype)
    )


TRAPS = {
    "dense": (
        lambda x: keras.Reshape((1, 1, 16))(
            lq.layers.QuantDense(16, kernel_quantizer="ste_sign", input_quantizer="ste_sign")(
                keras.GlobalAveragePooling2D()(x)
            )
        ),
        "use a 1x1 QuantConv2D",
    ),
    "depthwise": (
        lq.layers.QuantDepthwiseConv2D(
            3, padding="same", input_quantizer="ste_sign", depthwise_quantizer="ste_sign"
        ),
        "only convolutions have a binary form",
    ),
    "tf.sign": (binary_conv(input_quantizer=tf.sign), "its input quantizer is not a sign"),
    "tanh": (binary_conv(activation="tanh"), "its activation is neither linear nor relu"),
    "off its scale": (binary_conv(kernel_quantizer=halves), "not plus or minus their channel's scale"),
    "padded with 0.5": (binary_conv(pad_values=0.5), "it pads with 0.5; valid: 0, 1 and -1"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_why_a_layer_cannot_be_made_portable(name):
    body, reason = TRAPS[name]
    calls = read_graph(network_around(body, 8)).calls
    (call,) = (call for call in calls if type(call.layer).__name__.startswith("Quant"))
    assert reason in steps.why_not(call)


@pytest.mark.parametrize(
    "names", [["tanh"], pytest.param([*TRAPS], marks=pytest.mark.large)], ids=["one", "each"]
)
def test_a_layer_that_cannot_be_made_portable_is_named(names):
    model = network_of({name: TRAPS[name][0] for name in names})
    problems = deploy.verify(model, deploy.to_flatbuffer(model, options=PLAIN), images(1)).problems
    for name in names:
        assert any(one.startswith(slug(name)) and TRAPS[name][1] in one for one in problems), (name, problems)


def test_an_operation_that_tflite_does_not_have_is_named():
    model = network_around(lambda x: keras.Activation(tf.math.bessel_i1e, name="odd_one")(x))
    with pytest.raises(UserError, match="no operation BesselI1e, which is a part of the layer 'odd_one'"):
        deploy.to_flatbuffer(model, options=PLAIN)


def test_the_converter_is_silent(capfd):
    """What it says comes from C++, past all settings of a log and past sys.stderr."""
    deploy.to_flatbuffer(small()[0], options=PLAIN)
    assert "output_format" not in capfd.readouterr().err


def test_sums_of_a_file_without_binary_layers():
    assert sums.count(Flatbuffer(small()[1]), [None], images(1), (LITERT,)).number == 0
