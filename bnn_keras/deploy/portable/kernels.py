"""The kernels of binary convolutions, stored as int8 in a file for TFLite's own kernels."""

from collections.abc import Iterable

import numpy as np

from bnn_keras.deploy.portable.steps import STEP_CONV
from bnn_keras.deploy.rewrite.operations import Operation
from bnn_keras.tflite.bits import pack_signs
from bnn_keras.tflite.flatbuffer import KERNEL, Flatbuffer

CONV = "CONV_2D"


def store_as_int8(file: Flatbuffer, operations: Iterable[Operation]) -> None:
    """Store the kernels of convolutions of steps as signs in int8, with a scale for each output channel.

    Args:
        file: with these kernels in float32; it is changed.
        operations: of the network that the file was converted from.
    """
    wanted = {_key(one.constants["kernel"]) for one in operations if one.kind == STEP_CONV}
    for op in file.ops:
        if op.name == CONV and file.is_constant(op.inputs[KERNEL]):
            kernel = file.constant(op.inputs[KERNEL])
            scales = np.abs(kernel).max(axis=(1, 2, 3))
            is_sign = (np.abs(kernel) == scales[:, None, None, None]).all() and (scales > 0).all()
            if is_sign and _key(np.moveaxis(kernel, 0, -1)) in wanted:
                file.set_quantized(op.inputs[KERNEL], np.sign(kernel).astype(np.int8), scales)


def _key(kernel: np.ndarray) -> tuple:
    """What identifies a kernel: its signs, those of each output channel in relation to its first one.

    Args:
        kernel: [height, width, input channels, output channels].
    """
    relative = kernel * np.sign(kernel[:1, :1, :1])
    return kernel.shape, pack_signs(relative).tobytes()
