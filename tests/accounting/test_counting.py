"""The accounting against counts one multiply at a time, Larq's summary and the published runs."""

import itertools
import random

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import accounting
from bnn_keras.errors import UserError
from bnn_keras.nn import layers

K = tf.keras.layers
SIGN = "ste_sign"


def count_multiplies(input_shape, output_shape, kernel, strides, dilation, groups, same):
    """Walk over every output and every weight, as the definition of a convolution does."""
    multiplies = 0
    channels_in, channels_out = input_shape[-1], output_shape[-1]
    for position in itertools.product(*map(range, output_shape[:-1])):
        for out in range(channels_out):
            group = out // (channels_out // groups)
            for offset in itertools.product(*map(range, kernel)):
                where = [
                    p * s + o * d for p, s, o, d in zip(position, strides, offset, dilation, strict=True)
                ]
                # A border counts like the image; without one the kernel must lie inside.
                assert same or all(w < size for w, size in zip(where, input_shape[:-1], strict=True))
                for channel in range(channels_in):
                    multiplies += channel // (channels_in // groups) == group
    return multiplies


class Builder:
    """Random convolutions on a small image, with the count beside the model."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.bops = self.flops = self.params = self.binary_params = self.stored = 0

    def convolve(self, x, layer=None):
        """Apply a new random convolution, or a given one again."""
        new = layer is None
        layer = self.new_convolution(x) if new else layer
        y = layer(x)
        kernel_size = layer.kernel_size
        multiplies = count_multiplies(
            x.shape[1:], y.shape[1:], kernel_size, layer.strides, layer.dilation_rate, layer.groups,
            layer.padding == "same",
        )  # fmt: skip
        binary_kernel = getattr(layer, "kernel_quantizer", None) is not None
        binary = binary_kernel and getattr(layer, "input_quantizer", None) is not None
        self.bops += multiplies * binary
        self.flops += multiplies * (not binary)
        if new:
            weights = np.prod(kernel_size) * (x.shape[-1] // layer.groups) * y.shape[-1]
            self.params += weights + y.shape[-1] * layer.use_bias
            self.binary_params += weights * binary_kernel
        return y, layer

    def new_convolution(self, x):
        pick = self.random.choice
        stride, dilation = pick([(1, 1), (1, 2), (2, 1)])
        options = dict(
            filters=pick([2, 4, 8]),
            kernel_size=pick([1, 2, 3, (1, 3)]),
            padding="same" if min(x.shape[1:3]) < 6 else pick(["same", "valid"]),
            strides=stride,
            dilation_rate=dilation,
            use_bias=pick([True, False]),
        )
        kind = pick(["plain", "grouped", "split", "binary", "binary kernel"])
        groups = pick([g for g in (2, 4) if x.shape[-1] % g == 0 and options["filters"] % g == 0] or [1])
        if kind == "plain":
            return K.Conv2D(**options)
        if kind == "grouped":
            return K.Conv2D(groups=groups, **options)
        if kind == "split":
            return layers.GroupedConv2D(groups=groups, **options)
        quantizer = SIGN if kind == "binary" else None
        return lq.layers.QuantConv2D(input_quantizer=quantizer, kernel_quantizer=SIGN, **options)

    def normalize(self, x):
        scale = self.random.choice([True, False])
        self.params += 2 * x.shape[-1]
        return K.BatchNormalization(scale=scale)(x)

    def nested(self, x):
        """A model in the model, built for any image size."""
        inside = tf.keras.Input((None, None, x.shape[-1]))
        halve = K.Conv2D(4, 3, strides=2, padding="same", use_bias=False)
        y = tf.keras.Model(inside, halve(inside))(x)
        shape = (-(-x.shape[1] // 2), -(-x.shape[2] // 2), 4)
        self.flops += count_multiplies(x.shape[1:], shape, (3, 3), (2, 2), (1, 1), 1, True)
        self.params += 9 * x.shape[-1] * 4
        return y

    def model(self):
        image = tf.keras.Input((self.random.randint(8, 12), self.random.randint(8, 12), 4))
        x = image
        for _ in range(self.random.randint(2, 5)):
            x, _ = self.convolve(x)
            if self.random.random() < 0.5:
                x = self.normalize(x)
        x, shared = self.convolve(x, K.Conv2D(x.shape[-1], 3, padding="same", use_bias=False))
        self.params += 9 * x.shape[-1] ** 2
        for _ in range(self.random.randint(0, 2)):
            x, _ = self.convolve(x, shared)
        if self.random.random() < 0.6:
            x = self.nested(x)
        self.params += (x.shape[-1] + 1) * 3
        x = K.Dense(3)(K.GlobalAveragePooling2D()(x))
        return tf.keras.Model(image, x)


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.large if seed >= 20 else ()) for seed in range(50)]
)
def test_random_models_equal_the_count_one_multiply_at_a_time(seed):
    builder = Builder(seed)
    model = builder.model()
    found = accounting.profile(model)
    assert (found.bops, found.flops) == (builder.bops, builder.flops)
    assert found.ops == builder.flops + builder.bops / 64
    assert (found.params, found.binary_params) == (builder.params, builder.binary_params)
    bits = found.binary_params + 32 * (found.params - found.binary_params)
    assert found.size_mib == bits / 8 / 2**20
    assert not found.notes


def counted(layer, shape, **kwargs):
    image = tf.keras.Input(shape)
    return accounting.profile(tf.keras.Model(image, layer(image)), **kwargs)


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        (K.Conv1D(4, 3, dilation_rate=2, padding="same"), (9, 2), 9 * 3 * 2 * 4),
        (K.Conv3D(4, (1, 2, 3), strides=2), (5, 6, 7, 2), 3 * 3 * 3 * 6 * 2 * 4),
        (K.DepthwiseConv2D(3, strides=2, depth_multiplier=2), (7, 7, 3), 3 * 3 * 9 * 3 * 2),
        (K.SeparableConv2D(5, 3), (6, 6, 2), 4 * 4 * (9 * 2 + 2 * 5)),
        (K.Conv2DTranspose(5, 3, strides=2, padding="same"), (4, 6, 2), 4 * 6 * 9 * 2 * 5),
        (K.Dense(5), (7,), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_convolutions(layer, shape, flops):
    found = counted(layer, shape)
    assert (found.flops, found.bops) == (flops, 0)
    assert not found.notes


def test_channels_first():
    layer = K.Conv2D(4, 3, data_format="channels_first")
    assert counted(layer, (2, 5, 6)).flops == 3 * 4 * 9 * 2 * 4


def test_dense_layers_count_only_where_asked():
    binary = lq.layers.QuantDense(4, input_quantizer=SIGN, kernel_quantizer=SIGN)
    assert counted(binary, (32,)).ops == 0
    assert counted(binary, (32,)).binary_params == 128
    assert counted(binary, (32,), dense=True).bops == 128
    assert counted(K.Dense(4), (7, 32), dense=True).flops == 7 * 32 * 4


def test_the_pointwise_half_of_a_binary_separable_convolution_is_not_binary():
    """Its input are the sums of the depthwise half. Larq counts it as binary and is wrong there."""
    layer = lq.layers.QuantSeparableConv2D(
        5, 3, input_quantizer=SIGN, depthwise_quantizer=SIGN, pointwise_quantizer=SIGN, use_bias=False
    )
    found = counted(layer, (6, 6, 2))
    assert (found.bops, found.flops) == (16 * 9 * 2, 16 * 2 * 5)
    assert found.binary_params == found.params == 9 * 2 + 2 * 5
    assert lq.models.ModelProfile(tf.keras.Sequential([tf.keras.Input((6, 6, 2)), layer])).op_count(
        "mac", 1
    ) == 16 * (9 * 2 + 2 * 5)


def test_a_transposed_convolution_multiplies_each_pixel_of_its_input():
    """Larq counts each pixel of the output, which is the square of the stride too much."""
    layer = K.Conv2DTranspose(5, 2, strides=2, use_bias=False)
    larq = lq.models.ModelProfile(tf.keras.Sequential([tf.keras.Input((4, 4, 2)), layer]))
    assert larq.op_count("mac", 32) == 4 * counted(layer, (4, 4, 2)).flops


def test_a_shared_layer_costs_parameters_once_and_operations_at_every_call():
    """Larq does not count the operations of a layer that gives several shapes."""
    image = tf.keras.Input((8, 8, 4))
    shared = K.Conv2D(4, 3, strides=2, padding="same", use_bias=False)
    model = tf.keras.Model(image, shared(shared(image)))
    found = accounting.profile(model)
    assert [row.params for row in found.rows] == [9 * 16, 0]
    assert [row.flops for row in found.rows] == [16 * 9 * 16, 4 * 9 * 16]
    assert lq.models.ModelProfile(model).op_count("mac", 32) == 0


def test_a_nested_model_counts_at_the_size_of_each_call():
    inside = tf.keras.Input((None, None, 4))
    y = layers.ChannelShuffle(2)(layers.binary_conv(4, 3, strides=2, name="conv")(inside))
    nested = tf.keras.Model(inside, K.BatchNormalization(name="bn")(y), name="nested")
    image = tf.keras.Input((8, 12, 4))
    found = accounting.profile(tf.keras.Model(image, nested(nested(image))))
    assert [row.bops for row in found.rows] == [4 * 6 * 144, 0, 0, 2 * 3 * 144, 0, 0]
    assert (found.params, found.binary_params) == (144 + 8, 144)
    assert found.rows[0].path == "nested/conv"
    assert found.rows[0].kernel_shapes == ((3, 3, 4, 4),)
    assert found.rows[-1].output_shape == (None, 2, 3, 4)


def conv_after(x, *before, **options):
    for layer in before:
        x = layer(x)
    return (
        K.Conv2D(2, 1)(x) if options.get("float") else lq.layers.QuantConv2D(2, 1, kernel_quantizer=SIGN)(x)
    )


@pytest.mark.parametrize(
    ("before", "binary"),
    [
        ([], False),
        ([lq.quantizers.SteSign()], True),
        ([K.Activation(lq.quantizers.SteSign())], True),
        ([lq.quantizers.SteSign(), K.MaxPooling2D(2), K.Reshape((2, 4, 2)), layers.ChannelShuffle(2)], True),
        ([lq.quantizers.SteSign(), K.AveragePooling2D(2)], False),
        ([lq.quantizers.SteTern()], False),
    ],
)
def test_an_input_is_binary_where_its_values_are(before, binary):
    image = tf.keras.Input((4, 8, 2))
    model = tf.keras.Model(image, conv_after(image, *before))
    found = accounting.profile(model)
    assert (found.bops > 0, found.flops > 0) == (binary, not binary)
    assert not found.notes


def test_both_parts_of_a_concatenation_have_to_be_binary():
    image = tf.keras.Input((4, 4, 2))
    sign = lq.quantizers.SteSign()(image)
    for parts, binary in (([sign, sign], True), ([sign, image], False)):
        model = tf.keras.Model(image, conv_after(K.Concatenate()(parts)))
        assert (accounting.profile(model).bops > 0) == binary


def test_a_binary_input_of_a_float_kernel_costs_float():
    image = tf.keras.Input((4, 4, 2))
    model = tf.keras.Model(image, conv_after(image, lq.quantizers.SteSign(), float=True))
    assert accounting.profile(model).bops == 0


def test_names_decide_nothing():
    lying = lq.layers.QuantConv2D(
        4, 3, input_quantizer=SIGN, kernel_quantizer=SIGN, name="float_bias", use_bias=False
    )
    assert counted(lying, (5, 5, 2)).flops == 0
    assert counted(K.Conv2D(4, 3, name="binary_conv"), (5, 5, 2)).bops == 0


def test_a_fixed_scale_counts_and_a_batch_norm_of_neither_is_only_stored():
    fixed = counted(K.BatchNormalization(scale=False), (4, 4, 3))
    assert (fixed.params, fixed.rows[0].bits) == (6, 6 * 32)
    neither = counted(K.BatchNormalization(scale=False, center=False), (4, 4, 3))
    assert (neither.params, neither.rows[0].bits) == (0, 6 * 32)


def test_freezing_changes_no_count():
    model = tf.keras.Sequential([tf.keras.Input((6, 6, 2)), K.Conv2D(3, 3), K.BatchNormalization()])
    before = accounting.profile(model)
    model.trainable = False
    assert accounting.profile(model) == before


class Unknown(K.Layer):
    """A user's own layer, with a binary kernel and a BatchNorm inside."""

    def __init__(self):
        super().__init__()
        self.conv = lq.layers.QuantConv2D(2, 3, kernel_quantizer=SIGN, use_bias=False)
        self.bn = K.BatchNormalization(scale=False)

    def call(self, inputs):
        return self.bn(self.conv(inputs))


@pytest.mark.parametrize(
    ("layer", "params", "binary_params", "message"),
    [
        (Unknown(), 36 + 4, 36, "no rule for the layer Unknown"),
        (K.TimeDistributed(K.Conv1D(2, 3, use_bias=False)), 12, 0, "no rule for the layer TimeDistributed"),
        (K.Lambda(tf.abs), 0, 0, "what a Lambda computes is not known"),
        (lambda x: tf.reduce_sum(x, 1), 0, 0, "what a TFOpLambda computes is not known"),
    ],
)
def test_what_cannot_be_counted_is_said(layer, params, binary_params, message):
    found = counted(layer, (5, 5, 2))
    assert (found.params, found.binary_params) == (params, binary_params)
    assert message in found.notes[0].note
    assert found.ops == 0


def test_an_image_of_unknown_size_is_refused_until_it_is_given():
    model = tf.keras.Sequential([tf.keras.Input((None, None, 2)), K.Conv2D(3, 3, use_bias=False)])
    with pytest.raises(UserError, match=r"give input_shape=.*Received: .*\(None, None, None, 2\)"):
        accounting.profile(model)
    assert accounting.profile(model, input_shape=(6, 5, 2)).flops == 4 * 3 * 54
    with pytest.raises(UserError, match=r"input_shape fills in.*Received: \(6, 5, 3\)"):
        accounting.profile(model, input_shape=(6, 5, 3))


def test_a_size_that_depends_on_the_data_is_noted():
    cut = tf.keras.Input((), dtype="int32")
    image = tf.keras.Input((8, 2))
    model = tf.keras.Model([image, cut], K.Conv1D(2, 1)(image[:, : cut[0]]))
    assert "they need the image's size, received (None,)" in accounting.profile(model).rows[-1].note


@pytest.mark.parametrize(
    "name",
    [
        "QuickNet",
        pytest.param("RealToBinaryNet", marks=pytest.mark.large),
        pytest.param("BinaryDenseNet28", marks=pytest.mark.large),
        pytest.param("BinaryResNetE18", marks=pytest.mark.large),
    ],
)
def test_larqs_own_summary_agrees_on_larq_zoo(name):
    """Larq counts the dense layers, and of each BatchNorm the two values that are left when it is
    folded, as our size does; our parameters have none of a BatchNorm without scale and shift."""
    import larq_zoo

    build = getattr(larq_zoo.sota, name, None) or getattr(larq_zoo.literature, name)
    model = build(input_shape=(64, 64, 3), weights=None)
    theirs, ours = lq.models.ModelProfile(model), accounting.profile(model, dense=True)
    assert ours.binary_params == theirs.weight_count(1)
    assert ours.bops == theirs.op_count("mac", 1)
    assert ours.flops == theirs.op_count("mac", 32)
    assert ours.size_mib == theirs.memory / 8 / 2**20
    bare = [
        layer.moving_mean.shape[0]
        for layer in model.layers
        if isinstance(layer, K.BatchNormalization) and not (layer.scale or layer.center)
    ]
    assert ours.params == theirs.weight_count() - 2 * sum(bare)
    assert (len(bare) > 0) == (name == "QuickNet")
