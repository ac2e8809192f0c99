"""Files in integers: what they compute, what is refused, and what stays as it was."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import deploy
from bnn_keras.accounting import cost
from bnn_keras.deploy.quantize import arithmetic, calibration, forms, int8, result, stages
from bnn_keras.deploy.quantize.chains import Chains
from bnn_keras.deploy.verification.sums import Sums
from bnn_keras.errors import UserError
from bnn_keras.nn import layers
from bnn_keras.settings.runtime import LCE, LCE_XNNPACK
from bnn_keras.tflite.flatbuffer import BCONV, KERNEL, TYPE_NAMES, Flatbuffer
from bnn_keras.tflite.integers import Kernel, Scale
from bnn_keras.tflite.interpreter import run
from tests import networks

K = tf.keras.layers


@dataclasses.dataclass(frozen=True)
class Case:
    """A model, its float file, and the file in integers."""

    model: tf.keras.Model
    images: np.ndarray
    floats: bytes
    report: deploy.Report
    content: bytes
    found: result.Quantized


def converted(model, size, options=deploy.IDENTITY, labels=None):
    images = networks.images(4, size)
    floats, report = deploy.convert(model, images, options=options)
    content, found = int8.quantize(model, floats, report, images, labels, images, None, options.runtime)
    return Case(model, images, floats, report, content, found)


def grouped_network():
    """As MeliusNet in small: a grouped stem with its pooling, a transition, a head."""
    image = tf.keras.Input((32, 32, 3))
    x = K.ReLU()(K.BatchNormalization()(K.Conv2D(32, 3, strides=2, padding="same", name="stem")(image)))
    x = layers.GroupedConv2D(32, 3, padding="same", groups=4, use_bias=False, name="grouped")(x)
    x = K.MaxPooling2D(2)(K.ReLU()(K.BatchNormalization()(x)))
    y = layers.binary_conv(32, 3, name="binary1")(K.BatchNormalization()(x))
    x = K.MaxPooling2D(2)(K.BatchNormalization()(K.Concatenate()([x, y])))
    x = K.Conv2D(32, 1, use_bias=False, name="transition")(K.ReLU()(x))
    y = layers.binary_conv(32, 3, name="binary2")(K.BatchNormalization()(x))
    x = K.GlobalAveragePooling2D()(K.BatchNormalization()(K.Concatenate()([x, y])))
    return networks.randomise(tf.keras.Model(image, K.Dense(10, name="head")(x), name="grouped"))


@pytest.fixture(scope="module")
def melius():
    """The stem is as XNNPACK has it: a chain of convolutions and a pooling."""
    return converted(grouped_network(), 32, options=deploy.Options(LCE_XNNPACK))


@pytest.fixture(scope="module")
def bnext():
    model = networks.randomise(zoo.build("bnext_t", (32, 32, 3), 10, widths=(16, 16)))
    return converted(model, 32, labels=np.arange(4))


def types_of(content):
    """The types of what the operations give, by kind."""
    file = Flatbuffer(content)
    found: dict = {}
    for op in file.ops:
        found.setdefault(op.name, []).append(TYPE_NAMES[file.graph.tensors[op.outputs[0]].type])
    return found


def test_every_operation_lies_within_the_bound_of_its_scales(melius, bnext):
    for case in (melius, bnext):
        kernels = [stage for stage in case.found.stages if stage.bits]
        assert len(kernels) == sum(
            op.name in ("CONV_2D", "FULLY_CONNECTED") for op in Flatbuffer(case.floats).ops
        )
        assert all(0 <= stage.ratio <= 1 for stage in case.found.stages)
        # A bound that is far from what is seen would find nothing.
        assert max(stage.ratio for stage in kernels) > 0.3


def test_a_chain_is_quantized_once_and_its_pooling_is_part_of_it(melius):
    found = types_of(melius.content)
    assert found["MAX_POOL_2D"][0] == "INT8" and set(found["MAX_POOL_2D"][1:]) == {"FLOAT32"}
    assert found["CONV_2D"][:2] == ["INT8"] * 2
    file = Flatbuffer(melius.content)
    between = [op for op in file.ops if op.name == "DEQUANTIZE" and not file.is_constant(op.inputs[0])]
    integer = [stage.name for stage in melius.found.stages if stage.bits and stage.is_integer]
    assert len(found["QUANTIZE"]) == len(between) == len(integer) - 1  # the stem has two of them in a chain


def test_the_binary_operations_are_those_of_the_float_file(melius):
    files = [Flatbuffer(content) for content in (melius.content, melius.floats)]
    kernels = [
        [file.constant(op.inputs[KERNEL]).tobytes() for op in file.ops if op.name == BCONV] for file in files
    ]
    assert kernels[0] == kernels[1] and len(kernels[0]) == len(melius.report.layers) > 0


def test_branches_have_weights_of_4_bits_unless_8_are_asked_for(bnext):
    kinds = {stage.name.split("/")[-1] for stage in bnext.found.stages if stage.bits == 4}
    ends = [stage.bits for stage in bnext.found.stages if stage.name in ("stem/conv", "head") and stage.bits]
    assert kinds == {"squeeze", "expand"} and ends == [8, 8]
    _, eight = int8.quantize(
        bnext.model,
        bnext.floats,
        bnext.report,
        bnext.images,
        None,
        bnext.images,
        "8/8",
        deploy.IDENTITY.runtime,
    )
    assert {stage.bits for stage in eight.stages} == {None, 8}
    assert eight.weight_bytes > bnext.found.weight_bytes


def test_the_size_counts_integers_and_their_scales(bnext):
    kernels = [layer for layer in bnext.model.layers if layer.name.endswith(("squeeze", "expand"))]
    others = [bnext.model.get_layer("stem/conv"), bnext.model.get_layer("head")]
    saved = sum(layer.kernel.shape.num_elements() * 7 / 2 - 4 * layer.kernel.shape[-1] for layer in kernels)
    saved += sum(layer.kernel.shape.num_elements() * 3 - 4 * layer.kernel.shape[-1] for layer in others)
    assert bnext.found.float_weight_bytes - bnext.found.weight_bytes == saved
    assert bnext.found.float_weight_bytes == bnext.report.storage.weights


def test_the_outputs_stay_close_with_8_bits(melius):
    ours, theirs = run(melius.content, melius.images), run(melius.floats, melius.images)
    # Signs near 0 fall otherwise; the network as a whole keeps what it computes.
    assert np.corrcoef(ours.reshape(-1), theirs.reshape(-1))[0, 1] > 0.9


def test_every_operation_of_the_files_has_unit_costs(melius, bnext):
    for case in (melius, bnext):
        ours, theirs = (cost.estimate(Flatbuffer(each)) for each in (case.content, case.floats))
        assert ours.uncounted == theirs.uncounted
    forms_of = {operation.work.form for operation in ours.operations}
    assert "CONV_2D of one pixel, 4 bits" in forms_of


def test_a_file_with_weights_of_4_bits_is_checked_and_runs_as_a_stranger_s(bnext):
    assert np.isfinite(run(bnext.content, bnext.images)).all()
    file = Flatbuffer(bnext.content)
    tensor = next(t for t in file.graph.tensors if TYPE_NAMES[t.type] == "INT4")
    file.model.buffers[tensor.buffer].data = file.model.buffers[tensor.buffer].data[:-1]
    with pytest.raises(UserError, match="whose buffer has another size"):
        run(file.pack(), bnext.images)


def damaged(case, change):
    """What the comparison finds in a file that is changed after it was written."""
    file = Flatbuffer(case.content)
    change(file)
    return stages.compare(file.pack(), Flatbuffer(case.floats), case.images[:2], {})[1]


def number_of(file, name, kind="INT8"):
    return next(
        n
        for n, op in enumerate(file.ops)
        if op.name == name and TYPE_NAMES[file.graph.tensors[op.outputs[0]].type] == kind
    )


def change_weights(file):
    op = file.ops[number_of(file, "CONV_2D")]
    kernel = file.constant(op.inputs[KERNEL]).copy()
    kernel[0] = np.clip(kernel[0].astype(int) + 40, -127, 127)
    file.set_constant(op.inputs[KERNEL], kernel)


def change_scale(file):
    kernel = file.graph.tensors[file.ops[number_of(file, "CONV_2D")].inputs[KERNEL]]
    kernel.quantization.scale = 1.5 * kernel.quantization.scale


def change_scale_of_one_channel(file):
    kernel = file.graph.tensors[file.ops[number_of(file, "CONV_2D")].inputs[KERNEL]]
    scales = np.array(kernel.quantization.scale)
    scales[3] *= np.float32(1.25)
    kernel.quantization.scale = scales


def swap_channels(file):
    op = file.ops[number_of(file, "CONV_2D")]
    kernel = file.constant(op.inputs[KERNEL])
    file.set_constant(op.inputs[KERNEL], kernel[:, :, :, ::-1].copy())


def change_bias(file):
    op = file.ops[number_of(file, "CONV_2D")]
    bias = file.constant(op.inputs[2])
    file.set_constant(op.inputs[2], bias + np.int32(np.abs(bias).max() // 2 + 10_000))


def change_binary(file):
    op = next(op for op in file.ops if op.name == BCONV)
    file.set_constant(op.inputs[KERNEL], file.constant(op.inputs[KERNEL]) ^ 1)


def change_padding(file):
    file.graph.operators[number_of(file, "CONV_2D")].builtinOptions.padding = 1


def change_order(file):
    joined = next(n for n, op in enumerate(file.ops) if op.name == "CONCATENATION")
    operator = file.graph.operators[joined]
    operator.inputs = operator.inputs[::-1].copy()


def leave_out(file):
    number = number_of(file, "MAX_POOL_2D", "FLOAT32")
    del file.graph.operators[number]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_weights, "the operation CONV_2D differs by up to"),
        (change_scale, "the operation CONV_2D differs by up to"),
        (change_scale_of_one_channel, "the operation CONV_2D differs by up to"),
        (swap_channels, "the operation CONV_2D differs by up to"),
        (change_bias, "the operation CONV_2D differs by up to"),
        (change_binary, "the operation LceBconv2d has other constants than in the float file"),
        (change_padding, "the operation CONV_2D has other options than in the float file"),
        (change_order, "the operation CONCATENATION takes other tensors than in the float file"),
        (leave_out, "the file has other operations than its float file"),
    ],
)
def test_a_damaged_file_is_refused(melius, change, message):
    problems = damaged(melius, change)
    assert any(message in problem for problem in problems), problems


def test_a_portable_file_whose_sums_of_signs_are_not_exact_is_refused(melius, monkeypatch):
    report = dataclasses.replace(melius.report, sums=Sums(100, 0, ("litert",)))
    counted = []

    def count(file, numbers, images, kernels):
        counted.extend(file.ops[number].name for number in numbers)
        return Sums(100, 3, kernels)

    monkeypatch.setattr(int8.sums, "count", count)
    with pytest.raises(UserError, match="3 of 100 sums of signs are not exact"):
        int8.quantize(melius.model, melius.floats, report, melius.images, None, melius.images)
    assert counted == [BCONV] * len(report.layers)


def test_what_costs_more_in_integers_keeps_floats_and_gets_rounded_weights(melius, monkeypatch):
    """If QUANTIZE cost a hundred times as much, nothing but the weights would be integers."""
    from bnn_keras.accounting.cost import unit_costs

    monkeypatch.setitem(unit_costs.TABLE, ("QUANTIZE", "float"), {"element": unit_costs.Costs(225.0)})
    content, found = int8.quantize(
        melius.model, melius.floats, melius.report, melius.images, None, melius.images, None, LCE_XNNPACK
    )
    assert "QUANTIZE" not in types_of(content)
    rounded = [stage for stage in found.stages if stage.bits]
    assert rounded and not any(stage.is_integer for stage in rounded)
    assert all(stage.ratio <= 1 for stage in rounded) and max(stage.ratio for stage in rounded) > 0.2
    assert found.instructions["xnnpack"] == pytest.approx(found.float_instructions["xnnpack"])
    assert found.weight_bytes < found.float_weight_bytes


def test_int8_takes_no_more_instructions_and_fewer_with_dot_products(melius):
    before, after = melius.found.float_instructions, melius.found.instructions
    assert after["xnnpack"] <= before["xnnpack"]
    assert after["xnnpack_dot"] < before["xnnpack_dot"]


def test_a_loss_of_accuracy_is_measured_and_refused(bnext):
    lost = dataclasses.replace(bnext.found, accuracy=0.90, float_accuracy=0.91, images=100)
    assert lost.loss == pytest.approx(1.0)
    result.require(lost, 1.5, "net")
    with pytest.raises(UserError, match="net is refused, nothing was written: in int8 it loses 1.00 points"):
        result.require(lost, 0.5, "net")
    result.require(dataclasses.replace(lost, accuracy=None), 0.0, "net")
    assert bnext.found.accuracy is not None


def test_calibration_images(bnext):
    rest = (bnext.model, bnext.floats, bnext.report, bnext.images, None)
    with pytest.raises(UserError, match="int8 needs calibration images, real ones.*Received: none"):
        int8.quantize(*rest, bnext.images[:0])
    with pytest.raises(
        UserError, match=r"must have the shape \(32, 32, 3\) that the model takes. Received: \(64"
    ):
        int8.quantize(*rest, networks.images(2, 64))
    narrow = calibration.ranges(bnext.floats, [0], bnext.images[:1])[0]
    wide = calibration.ranges(bnext.floats, [0], bnext.images)[0]
    np.testing.assert_array_equal(wide.low, bnext.images.min((0, 1, 2)))
    np.testing.assert_array_equal(wide.high, bnext.images.max((0, 1, 2)))
    assert (wide.low <= narrow.low).all() and (narrow.high <= wide.high).all()
    assert wide.ends == (bnext.images.min(), bnext.images.max())


def test_branch_bits_for_a_network_without_branches(melius):
    with pytest.raises(
        UserError, match="--branch_bits: the network has no squeeze-and-expand branches; its 32"
    ):
        int8.check_branch_bits(melius.model, "8/8")


def test_a_file_in_integers_is_not_taken_for_one_in_floats(bnext):
    with pytest.raises(UserError, match="The file computes with int8"):
        deploy.verify(bnext.model, bnext.content, bnext.images)


def test_a_users_own_network_with_a_wide_dense_layer_and_a_fused_relu6():
    def body(x):
        x = layers.binary_conv(32, 3)(x)
        return K.ReLU(6.0)(K.Conv2D(16, 3, strides=2, padding="valid")(x))

    case = converted(networks.network_around(body), 16)
    assert all(stage.ratio <= 1 for stage in case.found.stages) and not case.found.plan.parts.get("branch")


@pytest.mark.parametrize("bits", [4, 8])
def test_a_kernel_is_rounded_to_half_a_step(bits):
    weights = np.random.default_rng(0).normal(0, 1, (5, 3, 3, 7))
    weights[2] = 0
    kernel = Kernel.of(weights, bits)
    steps = kernel.scales.reshape(-1, 1, 1, 1)
    assert (np.abs(kernel.values - weights) <= steps / 2 * (1 + 1e-6)).all()
    assert np.abs(kernel.integers).max() == {4: 7, 8: 127}[bits]
    assert len(kernel.packed) == -(-weights.size * bits // 8)
    halves = np.frombuffer(kernel.packed, np.uint8)
    if bits == 4:
        first = np.stack([halves << 4, halves & 0xF0], 1).reshape(-1).view(np.int8) >> 4
        np.testing.assert_array_equal(first[: weights.size], kernel.integers.reshape(-1))


def test_a_scale_spans_its_range_and_has_an_integer_for_0():
    for low, high in ((-1.0, 3.0), (0.5, 2.0), (-5.0, -1.0), (0.0, 0.0)):
        scale = Scale.of_range(low, high)
        least, largest = scale.ends
        assert least - scale.scale <= min(low, 0) and largest + scale.scale >= max(high, 0)
        assert -128 <= scale.zero <= 127


def test_convolutions_in_float64_are_those_of_keras():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 7, 7, 8)), rng.normal(size=(6, 3, 3, 4))

    options = types.SimpleNamespace(strideH=2, strideW=2, dilationHFactor=1, dilationWFactor=1, padding=0)
    layer = layers.GroupedConv2D(6, 3, strides=2, padding="same", groups=2, use_bias=False, dtype="float64")
    expected = layer(tf.constant(x))
    layer.set_weights([kernel.transpose(1, 2, 3, 0)])
    expected = layer(tf.constant(x))
    np.testing.assert_allclose(arithmetic.weighted("CONV_2D", x, kernel, options), expected, rtol=1e-10)


def test_tensors_of_a_joining_have_one_scale():
    """The groups of the stem as TFLite's own kernels compute them: split, convolved, joined."""
    model = grouped_network()
    floats = deploy.to_flatbuffer(model, options=deploy.Options(LCE))
    chains = Chains(Flatbuffer(floats))
    tensors = chains.activations(number for chain in chains.chains for number in chain)
    scales = forms.scales_of(chains, calibration.ranges(floats, tensors, networks.images(2, 32)))
    assert chains.same_scale
    for same in chains.same_scale:
        assert len({scales[tensor] for tensor in same}) == 1
