"""Files that take bytes compute what the model computes of the same whole numbers."""

import numpy as np
import pytest

from bnn_keras import deploy
from bnn_keras.deploy import rewrite
from bnn_keras.settings.input_type import UINT8
from bnn_keras.settings.runtime import BUILTIN, LCE
from bnn_keras.tflite.flatbuffer import Flatbuffer
from bnn_keras.tflite.images import as_bytes, as_input
from bnn_keras.tflite.interpreter import Interpreter
from tests.networks import binary_conv, images, network_around


@pytest.mark.parametrize("runtime", [LCE, BUILTIN])
def test_a_file_that_takes_bytes_is_verified(runtime):
    model, pixels = network_around(binary_conv()), images(3)
    options = rewrite.Options(runtime, rewrite.NAMES)
    flatbuffer, report = deploy.convert(model, pixels, options=options, input_type=UINT8)
    interpreter = Interpreter(flatbuffer)
    assert interpreter.inputs == [((1, 16, 16, 3), "uint8")] and not report.exceptions
    whole = as_bytes(pixels)
    np.testing.assert_array_equal(interpreter.predict(pixels), interpreter.predict(whole))  # rounded
    found, expected = interpreter.predict(whole), model(whole.astype(np.float32)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_file_that_scales_the_bytes_differently_is_refused():
    """The image itself is compared too."""
    model, pixels = network_around(binary_conv()), images(1)
    file = Flatbuffer(deploy.to_flatbuffer(model, input_type=UINT8))
    first = next(op for op in file.ops if op.name == "CONV_2D")
    file.set_constant(first.inputs[1], file.constant(first.inputs[1]) * np.float32(1.01))
    assert "times what rounding explains" in "; ".join(deploy.verify(model, file.pack(), pixels).problems)


def test_bytes_are_rounded():
    np.testing.assert_array_equal(as_bytes(np.array([-3.0, 0.4, 0.6, 254.6, 300.0])), [0, 0, 1, 255, 255])
    assert as_bytes(np.zeros(1)).dtype == np.uint8


def test_only_files_that_take_bytes_get_them():
    model, pixels = network_around(binary_conv()), images(1)
    file = Flatbuffer(deploy.to_flatbuffer(model))
    assert as_input(pixels, file) is pixels
