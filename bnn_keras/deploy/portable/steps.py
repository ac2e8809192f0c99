"""Binary convolutions in a form that TFLite's own int8 convolution computes exactly.

That convolution takes a float image and an int8 kernel. It scales the image to int8 by itself: TFLite's
kernels symmetrically, XNNPACK's by the smallest and the largest value. Both are exact for an image of two
values of which one is 0. So the signs of an image become steps, 0 in place of -1 and 6 in place of +1:
TFLite has a clipping to [0, 6], and no other one that leaves 0. Then with steps b, signs w and the sums over
all places of the kernel

    sum(s * w) = sum(b * w / 3) - sum(w)

A convolution that pads signs with 0 or 1 differs from that at its borders, by sums of the signs in the places
outside of the image. A convolution of an image of ones computes them, in which the kernel has one channel.
"""

from typing import Any

import larq as lq
import numpy as np
import tensorflow as tf

from bnn_keras.deploy.rewrite.computing import round_up
from bnn_keras.deploy.rewrite.kinds import kind
from bnn_keras.deploy.rewrite.operations import LAYER, THRESHOLD, Network, Operation
from bnn_keras.nn.binary import are_binary, is_one_bit, kernel_of
from bnn_keras.nn.float64 import rebuild
from bnn_keras.nn.graph import Call

K = tf.keras.layers
STEP, STEP_CONV = "step", "step_conv"
TOP = 6.0
# What makes a step of a clipping to [0, TOP]. A number nearer to its threshold than TOP / STEEP, 5e-30, may
# lie on the slope of the step; a larger factor would overflow for thresholds of 2 ** 20.
STEEP = 2.0**100
SIGNS = (lq.quantizers.SteSign, lq.quantizers.ApproxSign, lq.quantizers.SwishSign)
PADDINGS = (0, 1, -1)
Users = dict[Operation, list[Operation]]


def apply(network: Network) -> None:
    """Give all binary convolutions of a network this form.

    Those that have no such form stay as they are, in 32 bits: the verification names them.
    """
    users = network.users()
    steps: dict[Operation, Operation] = {}
    for operation in list(users):
        if operation.kind == "binary_conv":
            _replace(network, users, steps, operation, operation.constants["kernel"], 0.0)
        elif operation.kind == LAYER and operation.call is not None and not why_not(operation.call):
            _replace_layer(network, users, steps, operation, operation.call)


def why_not(call: Call) -> str:
    """Why a layer that is not a `binary_conv` of a network has no such form; "" if it has one."""
    layer: Any = call.layer
    quantizer = getattr(layer, "input_quantizer", None)
    if not isinstance(layer, K.Conv2D) or isinstance(layer, (K.DepthwiseConv2D, K.Conv2DTranspose)):
        return "only convolutions have a binary form for TFLite's own kernels; use a 1x1 QuantConv2D"
    if not isinstance(quantizer, SIGNS):
        return "its input quantizer is not a sign; use larq's SteSign as the input_quantizer"
    if layer.groups > 1:
        return f"a binary convolution in groups has no form for TFLite's own kernels (it has {layer.groups})"
    if layer.activation not in (tf.keras.activations.linear, tf.keras.activations.relu):
        return "its activation is neither linear nor relu; use a layer of its own for the activation"
    if layer.data_format != "channels_last" or call.kwargs or len(call.outputs) > 1:
        return "it is not called with one image whose channels are its last axis"
    if layer.padding == "same" and layer.pad_values not in PADDINGS:
        return f"it pads with {layer.pad_values:g}; valid: 0, 1 and -1"
    if not is_one_bit(layer.kernel_quantizer) or not are_binary(kernel_of(layer), layer.kernel_quantizer, -1):
        return "the values of its kernel are not plus or minus their channel's scale"
    return ""


def _float64(values: Any) -> np.ndarray:
    return np.asarray(values, np.float64)


def _replace_layer(
    network: Network, users: Users, steps: dict[Operation, Operation], operation: Operation, call: Call
) -> None:
    layer = call.layer
    kernel = kernel_of(layer)
    if (np.abs(kernel) != 1).any():
        kernel = kernel_of(rebuild(layer))  # scales in float64
    operation.settings = {
        "strides": tuple(layer.strides),
        "padding": layer.padding.upper(),
        "dilations": tuple(layer.dilation_rate),
    }
    bias = _float64(layer.bias.numpy()) if layer.use_bias else 0.0
    border = float(layer.pad_values) if layer.padding == "same" else 0.0
    if layer.activation is not tf.keras.activations.relu:
        _replace(network, users, steps, operation, _float64(kernel), border, bias)
        return
    inner = Operation(STEP_CONV, operation.inputs, operation.shape, {}, operation.settings, call)
    users[inner], users[operation.inputs[0]] = [operation], users[operation.inputs[0]]
    _replace(network, users, steps, inner, _float64(kernel), border, bias)
    operation.kind, operation.inputs, operation.settings = "relu", [inner], {}


def _replace(
    network: Network,
    users: Users,
    steps: dict[Operation, Operation],
    conv: Operation,
    kernel: np.ndarray,
    border: float,
    shift: Any = 0.0,
) -> None:
    """Make a convolution of steps of a convolution of signs, together with the BatchNorm that follows.

    Args:
        border: the sign around the image.
        shift: of the sums.
    """
    call, settings = conv.call, conv.settings
    step = _step(network, users, steps, conv.inputs[0], call)
    last, scale, shift = _with_scale_and_shift(network, users, conv, _float64(shift))
    kernel = kernel * scale
    sums = kernel.sum(2, keepdims=True)
    constants = {"kernel": kernel * (2 / TOP), "shift": shift - sums.sum((0, 1, 2))}
    constants |= {"unit": np.abs(kernel).max((0, 1, 2)), "zero": shift}
    if border != -1 and _has_border(step.shape[1:3], kernel.shape[:2], **settings):
        # The sums over the places inside of the image alone, and the signs outside of it.
        constants["border"] = -(1 + border) / TOP * sums
        constants["shift"] = shift + border * sums.sum((0, 1, 2))
        network.extra += [(call, sums.size), (call, sums.shape[-1])]  # every convolution has a bias
    # The last operation becomes the new one, so that its users keep it.
    last.kind, last.inputs, last.constants, last.call = STEP_CONV, [step], constants, call
    last.settings = {**settings, "outside": border}


def _with_scale_and_shift(
    network: Network, users: Users, conv: Operation, shift: np.ndarray
) -> tuple[Operation, np.ndarray, np.ndarray]:
    """The last of the scales and shifts that alone take a convolution, and all of them as one of each."""
    last, scale = conv, np.ones(conv.channels)
    while len(users[last]) == 1:
        (taker,) = users[last]
        if taker is last or taker.kind not in ("scale", "shift"):
            break
        if taker.kind == "scale":
            if (taker.constants["scale"] == 0).any():
                break  # an int8 kernel has no scale of 0
            scale, shift = scale * taker.constants["scale"], shift * taker.constants["scale"]
        else:
            shift = shift + taker.constants["shift"]
        network.untie(last)
        last = taker
    return last, scale, np.broadcast_to(shift, (conv.channels,))


def _step(
    network: Network, users: Users, steps: dict[Operation, Operation], x: Operation, call: Call | None
) -> Operation:
    """The steps of a feature map: one operation for all convolutions that take it.

    Args:
        call: of the convolution.
    """
    if x not in steps:
        are_signs = all(one.kind in ("binary_conv", STEP_CONV) for one in users[x])
        if x.kind == THRESHOLD and are_signs:
            steps[x] = _new_step(network, x.inputs[0], x.constants[THRESHOLD], call)
        elif x.kind == "concat" and are_signs and all(_is_only_for(users, one, x) for one in x.inputs):
            parts = [_new_step(network, one.inputs[0], one.constants[THRESHOLD], call) for one in x.inputs]
            steps[x] = Operation("concat", parts, x.shape, call=call)
        else:
            steps[x] = _new_step(network, x, np.zeros(1), call)
    return steps[x]


def _is_only_for(users: Users, threshold: Operation, join: Operation) -> bool:
    return threshold.kind == THRESHOLD and users[threshold] == [join]


def _new_step(network: Network, x: Operation, threshold: np.ndarray, call: Call | None) -> Operation:
    network.extra += [(call, x.channels)] * 2
    threshold = np.broadcast_to(threshold, (x.channels,))
    if x.kind == STEP_CONV:
        threshold = _between_sums(x, threshold)
    settings = {"offset": offset_of(round_up(threshold, np.float32))}
    return Operation(STEP, [x], x.shape, {THRESHOLD: threshold}, settings, call)


def _between_sums(conv: Operation, threshold: np.ndarray) -> np.ndarray:
    """Thresholds between those values of a convolution that lie at both sides of the given ones.

    A sum of signs is a whole number, and 0 often. Its output is rounded and could fall on either side of a
    threshold that it is equal to.
    """
    unit, zero = conv.constants["unit"], conv.constants["zero"]
    places = (threshold - zero) / unit
    nearest = np.rint(places)
    # A quotient that is a whole number but for its rounding is that number.
    places = np.where(np.abs(places - nearest) < 1e-9 * (1 + np.abs(places)), nearest, places)
    return zero + unit * (np.ceil(places) - 0.5)


def offset_of(threshold: np.ndarray) -> np.ndarray:
    """The float32 numbers that make steps at thresholds: x * STEEP + offset is below 0 or above TOP.

    Args:
        threshold: float32 numbers; x is no smaller than its threshold if it is larger than the number before.
    """
    before = np.nextafter(threshold.astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    return np.maximum(-before * STEEP, TOP - threshold * STEEP).astype(np.float32)


def _has_border(image: Any, window: Any, strides: Any, padding: str, dilations: Any) -> bool:
    """Whether some places of the kernel lie outside of the image."""
    return padding == "SAME" and any(
        (-(-edge // stride) - 1) * stride + (size - 1) * dilation + 1 > edge
        for edge, size, stride, dilation in zip(image, window, strides, dilations, strict=True)
    )


@kind(STEP)
def _compute_step(x: tf.Tensor, threshold: tf.Tensor, offset: np.ndarray) -> tf.Tensor:
    if x.dtype != tf.float32:
        return TOP * tf.cast(x >= threshold, x.dtype)
    # One pass over the image: a multiplication, an addition and a clipping.
    steep = tf.fill([1, 1, offset.size, 1], STEEP)
    return tf.nn.relu6(tf.nn.depthwise_conv2d(x, steep, [1, 1, 1, 1], "VALID") + offset)


@kind(STEP_CONV)
def _compute_step_conv(
    x: tf.Tensor,
    kernel: tf.Tensor,
    shift: tf.Tensor,
    unit: tf.Tensor,
    zero: tf.Tensor,
    strides: Any,
    padding: str,
    dilations: Any,
    outside: float,
    border: tf.Tensor | None = None,
) -> tf.Tensor:
    """The sums of signs times a unit, and a shift, which is the output where a sum is zero.

    Args:
        x: steps.
        kernel, shift, border: what the file computes with.
        unit, zero: the same as what is meant, with which float64 computes exactly.
        outside: the sign around the image.
    """
    if x.dtype != tf.float32 and not outside:
        signs = x * (2 / TOP) - 1
        return tf.nn.conv2d(signs, tf.sign(kernel), strides, padding, dilations=dilations) * unit + zero
    sums = tf.nn.conv2d(x, kernel, strides, padding, dilations=dilations) + shift
    if border is None:
        return sums
    # Always TOP, which the converter does not know: it would store the sums of each pixel.
    inside = tf.nn.relu6(x[..., :1] + TOP)
    return sums + tf.nn.conv2d(inside, border, strides, padding, dilations=dilations)
