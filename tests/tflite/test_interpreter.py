"""Files from strangers: right ones run as before, all others are refused in one sentence."""

import copy
import signal
import subprocess
import sys

import larq_compute_engine as lce
import numpy as np
import pytest
import tensorflow as tf
from flatbuffers import flexbuffers

from bnn_keras import deploy
from bnn_keras.errors import UserError
from bnn_keras.runs import trained
from bnn_keras.tflite.checking import check_tflite
from bnn_keras.tflite.flatbuffer import BCONV, Flatbuffer, schema
from bnn_keras.tflite.interpreter import Interpreter
from tests.networks import binary_conv, images, network_around

keras = tf.keras.layers


@pytest.fixture(scope="module")
def content():
    """A file with one-bit convolutions, sums, products, a pool, a mean and a classifier."""

    def body(x):
        return keras.MaxPooling2D()(keras.Add()([binary_conv()(keras.BatchNormalization()(x)), x]))

    return deploy.to_flatbuffer(network_around(body))


def load(tmp_path, content):
    path = tmp_path / "given.tflite"
    path.write_bytes(content)
    return trained.load(path)


def refusal(content, name="given.tflite"):
    """The sentence with which a file is refused, or None if it runs."""
    try:
        interpreter = Interpreter(content, name)
        ((shape, kind),) = interpreter.inputs
        interpreter.predict(np.ones((2, *shape[1:]), kind))
    except UserError as error:
        sentence = str(error)
    else:
        return None
    assert "\n" not in sentence and sentence.startswith(name)
    return sentence


def test_a_file_runs_as_in_this_process(content):
    here = lce.testing.Interpreter(content, use_indirect_bgemm=True, use_xnnpack=True)
    there = Interpreter(content)
    for number in (1, 3):
        np.testing.assert_array_equal(there.predict(images(number)), here.predict(images(number)))
    assert (there.inputs, there.outputs) == ([((1, 16, 16, 3), "float32")], [((1, 4), "float32")])


def test_an_int8_file_of_the_plain_converter_is_read(tmp_path):
    image = tf.keras.Input((32, 32, 3))
    x = keras.ReLU(6.0)(keras.BatchNormalization()(keras.Conv2D(8, 3, 2, "same")(image)))
    x = keras.DepthwiseConv2D(3, padding="same", activation="swish")(keras.ZeroPadding2D()(x))
    x = x * tf.keras.activations.sigmoid(keras.Dense(8)(keras.GlobalAveragePooling2D(keepdims=True)(x)))
    model = tf.keras.Model(image, keras.Dense(5, "softmax")(keras.Flatten()(keras.AveragePooling2D()(x))))
    function = tf.function(model).get_concrete_function(tf.TensorSpec((1, 32, 32, 3), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images(4, 32))
    network = load(tmp_path, converter.convert())
    np.testing.assert_allclose(network.logits(images(2, 32)), model(images(2, 32)), atol=0.1)
    with pytest.raises(UserError, match=r"takes arrays of shapes \[\(32, 32, 3\)\]. Received: "):
        network.logits(images(2, 16))


def test_several_rows_for_one_image_are_refused():
    image = tf.keras.Input((4, 4, 2), batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(image, tf.reshape(image, (2, 16))))
    sentence = "given.tflite cannot be run: an output has 2 rows for one image."
    assert refusal(converter.convert()) == sentence


def test_a_file_of_another_form_is_refused_in_words(tmp_path):
    function = tf.function(lambda x: x + 1).get_concrete_function(tf.TensorSpec((1, 3), tf.int32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    with pytest.raises(UserError, match=r"takes int32 \[1, 3\] and gives int32 \[1, 3\]; valid: a network"):
        load(tmp_path, converter.convert())


def test_a_file_with_a_loop_is_refused(tmp_path):
    def count(x):
        return tf.while_loop(lambda x: tf.reduce_sum(x) < 9, lambda x: (x + 1,), (x,))[0]

    function = tf.function(count, autograph=False)
    function = function.get_concrete_function(tf.TensorSpec((1, 3), tf.float32))
    with pytest.raises(UserError, match="has WhileOptions, of an operation that is not run here"):
        load(tmp_path, tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())


def test_the_process_imports_no_tensorflow(content):
    interpreter = Interpreter(content)
    with open(f"/proc/{interpreter._process.pid}/maps") as file:
        mapped = file.read()
    assert "interpreter_wrapper_lite" in mapped and "tensorflow/" not in mapped


def test_a_process_that_ends_is_a_sentence(content):
    interpreter = Interpreter(content, "given.tflite")
    interpreter._process.send_signal(signal.SIGSEGV)
    with pytest.raises(UserError, match=r"^given.tflite cannot be run: it crashes the interpreter \(SIGSEGV"):
        interpreter.predict(images(2))


def test_a_file_that_takes_too_long_is_a_sentence(content):
    interpreter = Interpreter(content, "given.tflite")
    interpreter._process.send_signal(signal.SIGPROF)
    with pytest.raises(UserError, match="an image takes more than 20 seconds"):
        interpreter.predict(images(2))


def test_the_process_ends_with_its_interpreter(content):
    interpreter = Interpreter(content)
    process = interpreter._process
    del interpreter
    assert process.poll() is not None


def test_the_process_may_not_write(tmp_path):
    script = "from bnn_keras.tflite.interpreter_process import _give_up_rights; _give_up_rights()\n"
    script += f"open({str(tmp_path / 'file')!r}, 'w').write('text')"
    subprocess.run([sys.executable, "-c", script], stderr=subprocess.DEVNULL, check=False)
    assert (tmp_path / "file").read_bytes() == b""


def bytes_of_tables(content):
    """The places of all bytes that are not those of weights."""
    places = np.ones(len(content), bool)
    for buffer in Flatbuffer(content).model.buffers:
        data = b"" if buffer.data is None else bytes(bytearray(buffer.data))
        start = content.find(data)
        places[start : start + len(data)] = False
    return np.flatnonzero(places)


def test_files_with_flipped_bits_run_or_are_refused(content):
    rng = np.random.default_rng(0)
    places, results = bytes_of_tables(content), []
    for _ in range(80):
        damaged = bytearray(content)
        for place in rng.choice(places, rng.integers(1, 4)):
            damaged[place] ^= 1 << int(rng.integers(8))
        results.append(refusal(bytes(damaged)))
    assert None in results and len({*results}) > 5


def test_a_file_without_a_graph_is_refused(content):
    file = Flatbuffer(content)
    file.model.subgraphs = None
    assert "has 0 graphs in version 3; valid: one" in refusal(file.pack())


def test_every_cut_is_refused(content):
    for size in [*range(0, 64, 3), *range(64, len(content), len(content) // 20)]:
        assert refusal(content[:size]) is not None, size


def edited(content, change):
    file = Flatbuffer(content)
    change(file)
    return file.pack()


def operator(file, name):
    return next(o for o, op in zip(file.graph.operators, file.ops, strict=True) if op.name == name)


def with_option(key, value):
    def change(file):
        found = operator(file, BCONV)
        options = {**flexbuffers.Loads(bytes(found.customOptions)), key: value}
        found.customOptions = np.frombuffer(flexbuffers.Dumps(options), np.uint8)

    return change


def set_input(index):
    def change(file):
        operator(file, "MUL").inputs = [index, 0]

    return change


def change_tensor(**values):
    def change(file):
        for key, value in values.items():
            setattr(file.graph.tensors[operator(file, BCONV).inputs[1]], key, value)

    return change


def quantize(*scales):
    def change(file):
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = np.array(scales, np.float32), np.array([0])
        file.graph.tensors[operator(file, BCONV).inputs[0]].quantization = quantization

    return change


def set_inputs(name, count):
    def change(file):
        operator(file, name).inputs = operator(file, name).inputs[:count]

    return change


def flatten_kernel(file):
    kernel = file.graph.tensors[operator(file, BCONV).inputs[1]]
    kernel.shape = np.array([np.prod(kernel.shape)])


def add_graph(file):
    file.model.subgraphs.append(copy.deepcopy(file.graph))


def reverse(file):
    file.graph.operators.reverse()


def overwrite(file):
    file.graph.operators[1].outputs = file.graph.operators[0].outputs


def rename_custom(name):
    def change(file):
        next(code for code in file.model.operatorCodes if code.customCode).customCode = name

    return change


def set_on_model(path, value):
    def change(file):
        target = file.model
        *parts, last = path.split(".")
        for part in parts:
            target = target[int(part)] if part.isdigit() else getattr(target, part)
        setattr(target, last, value)

    return change


CRAFTED = {
    "an input that is not there": (set_input(10_000), "refers to a tensor that it does not have"),
    "a negative input": (set_input(-2), "refers to a tensor that it does not have"),
    "an operation before its inputs": (reverse, "takes what no operation before it computes"),
    "an output twice": (overwrite, "overwrites a tensor"),
    "no kernel": (set_inputs(BCONV, 1), "an operation LceBconv2d with fewer than 2 inputs"),
    "an operation of nothing": (set_inputs("MUL", 0), "an operation MUL with fewer than 1 inputs"),
    "a kernel in one row": (flatten_kernel, "an operation LceBconv2d whose kernel has the shape"),
    "two graphs": (add_graph, "has 2 graphs"),
    "another schema": (set_on_model("version", 4), "in version 4"),
    "no operation": (set_on_model("operatorCodes", []), "has an operation of kind"),
    "an unknown custom operation": (rename_custom(b"FlexExec"), "has the operation FlexExec"),
    "a name that is not text": (rename_custom(b"\x1b[2J"), "has a name that is not printable text"),
    "a new version": (set_on_model("operatorCodes.0.version", 99), "of version 99"),
    "an operation that calls graphs": (
        set_on_model("operatorCodes.0.builtinCode", schema.BuiltinOperator.WHILE),
        "has the operation WHILE, which is not run here",
    ),
    "no buffer": (change_tensor(buffer=10**6), "without a name or a buffer"),
    "a shape beyond its buffer": (change_tensor(shape=[2**15, 3, 3, 1]), "whose buffer has another size"),
    "a negative shape": (change_tensor(shape=[-1, 3]), "of shape \\(-1, 3\\)"),
    "a shape without end": (change_tensor(shape=[2**31 - 1] * 8), "tensors of more than"),
    "a variable": (change_tensor(isVariable=True), "that is a variable or of type INT32"),
    "another type": (change_tensor(type=schema.TensorType.RESOURCE), "of type RESOURCE"),
    "no stride": (with_option("stride_width", 0), "whose option 'stride_width' is 0"),
    "no channels": (with_option("channels_in", -1), "whose option 'channels_in' is -1"),
    "an unknown option": (with_option("run", 1), "whose option 'run' is 1"),
    "scales for other channels": (quantize(1.0, 2.0), "whose quantization has another size"),
    "a scale of 0": (quantize(0.0), "a scale that is not positive"),
    "constants after the file": (set_on_model("buffers.1.offset", 8), "constants outside of its tables"),
    "no inputs": (set_on_model("subgraphs.0.inputs", []), "no inputs or no outputs"),
    "metadata elsewhere": (set_on_model("metadata.0.buffer", 999), "metadata in a buffer 999"),
    "a signature of another graph": (
        set_on_model("signatureDefs.0.subgraphIndex", 1),
        "a signature of another",
    ),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_files_are_refused_with_the_reason(content, name):
    change, reason = CRAFTED[name]
    with pytest.raises(UserError, match=reason):
        check_tflite(edited(content, change), "given.tflite")


def test_what_passes_the_check_and_crashes_is_a_sentence(content):
    """A kernel for more channels than the image has: LCE reads past the image."""
    sentence = refusal(edited(content, with_option("channels_in", 2**20)))
    assert sentence is None or sentence.startswith("given.tflite cannot be run: ")
