"""Parameters, size and operations of a model, per layer call and in total.

The rules are those of the MeliusNet paper (section 3.3, table 1) and its released code:

- Parameters: every weight that can be trained, and two for each channel of a BatchNorm even where
  its scale is fixed (MXNet stores the fixed one too). No moving statistics.
- Size: one bit for each binary weight, four bytes for every other, two values for each channel of
  a BatchNorm, which is what is left of it when it is folded.
- Operations: multiply-accumulates of convolutions, borders included. One whose kernel and input
  are both binary costs binary operations (BOPs), any other 32-bit ones (FLOPs). The final dense
  layer is left out, and with it every dense layer, binary or not; BNext's paper counts them, and
  `profile(model, dense=True)` does. Everything else (BatchNorm, pooling, additions) costs nothing.

Whether something is binary is read from the quantizers' precision, never from a name.
"""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn import graph, layers

BINARY = 1  # bits
FLOAT = 32
BOPS_PER_OP = 64  # binary operations that take the time of one in 32 bits

_K = tf.keras.layers
_TRANSPOSED = (_K.Conv1DTranspose, _K.Conv2DTranspose, _K.Conv3DTranspose)
_CONVOLUTIONS = (_K.Conv1D, _K.Conv2D, _K.Conv3D)
_DEPTHWISE = (_K.DepthwiseConv1D, _K.DepthwiseConv2D)
_SEPARABLE = (_K.SeparableConv1D, _K.SeparableConv2D)
# With weights, yet element by element: no operations by the rules above.
_ELEMENTWISE = (
    _K.BatchNormalization,
    _K.GroupNormalization,
    _K.LayerNormalization,
    _K.Normalization,
    _K.PReLU,
    layers.Bias,
    layers.Mix,
)
# What goes in comes out, in another place: +1 and -1 stay +1 and -1.
_MOVING = (
    _K.Concatenate,
    _K.Cropping2D,
    _K.Dropout,
    _K.Flatten,
    _K.GlobalMaxPooling2D,
    _K.MaxPooling1D,
    _K.MaxPooling2D,
    _K.MaxPooling3D,
    _K.Permute,
    _K.Reshape,
    layers.ChannelShuffle,
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One call of one layer.

    Args:
        path: the layer's name behind those of the nested models that it is in.
        stage: the name up to the first slash.
        type: the layer's class.
        output_shape: with the batch dimension, None where unknown.
        kernel_shapes: of the convolution's or dense layer's kernels.
        params: weights; 0 from a shared layer's second call on.
        binary_params: those among them of one bit.
        bits: their size.
        bops, flops: multiply-accumulates, binary and 32-bit.
        note: what is not counted here, and why; "" if nothing.
    """

    path: str
    stage: str
    type: str
    output_shape: tuple[int | None, ...]
    kernel_shapes: tuple[tuple[int, ...], ...]
    params: int
    binary_params: int
    bits: int
    bops: int
    flops: int
    note: str


@dataclasses.dataclass(frozen=True)
class Profile:
    """The rows of a model and their sums."""

    name: str
    rows: tuple[Row, ...]

    @property
    def params(self) -> int:
        return sum(row.params for row in self.rows)

    @property
    def binary_params(self) -> int:
        return sum(row.binary_params for row in self.rows)

    @property
    def size_mib(self) -> float:
        return sum(row.bits for row in self.rows) / 8 / 2**20

    @property
    def bops(self) -> int:
        return sum(row.bops for row in self.rows)

    @property
    def flops(self) -> int:
        return sum(row.flops for row in self.rows)

    @property
    def ops(self) -> float:
        """FLOPs + BOPs / 64 (MeliusNet, table 1)."""
        return self.flops + self.bops / BOPS_PER_OP

    @property
    def notes(self) -> tuple[Row, ...]:
        """The rows with something that is not counted."""
        return tuple(row for row in self.rows if row.note)


def profile(
    model: tf.keras.Model, input_shape: tuple[int, ...] | None = None, dense: bool = False
) -> Profile:
    """Count a model.

    Args:
        model: functional or sequential, with any Keras and Larq layers, nested models, shared layers.
        input_shape: height, width and channels, for a model with one input of unknown size.
        dense: count the operations of dense layers too.

    Returns:
        The rows in the order of computation. A shared layer's parameters are counted once, its
        operations at every call. Layers that only this model's author knows have a note.

    Raises:
        UserError: a model without a graph, or with convolutions over an image of unknown size.
    """
    calls = graph.of(model)
    shapes = graph.shapes(calls, input_shape)
    _check(calls, shapes)
    binary = _binary_values(calls)
    counted: set[int] = set()
    rows = []
    for call in calls.calls:
        output_shape = shapes[call.outputs[0]]
        macs, note = _operations(call, shapes, dense)
        sizes = {BINARY: 0, FLOAT: 0}
        for kernel, number in macs:
            sizes[BINARY if _is_binary_operation(call, kernel, binary) else FLOAT] += number
        weights = _weights(call.layer, counted)
        rows.append(
            Row(
                path=call.path,
                stage=call.stage,
                type=type(call.layer).__name__,
                output_shape=output_shape,
                kernel_shapes=tuple(tuple(kernel.shape) for kernel in _kernels(call.layer)),
                params=weights.binary + weights.float,
                binary_params=weights.binary,
                bits=weights.binary * BINARY + weights.stored * FLOAT,
                bops=sizes[BINARY],
                flops=sizes[FLOAT],
                note=note,
            )
        )
    return Profile(model.name, tuple(rows))


def _check(calls: graph.Graph, shapes) -> None:
    open_inputs = [shapes[value] for value in calls.inputs if None in shapes[value][1:]]
    if open_inputs:
        raise UserError(
            "Operations are counted for one size of image: give input_shape=(height, width, channels). "
            f"Received: a model with the input {open_inputs[0]}."
        )


@dataclasses.dataclass
class _Weights:
    binary: int = 0
    float: int = 0
    stored: int = 0  # of the 32-bit ones, what is left after folding


def _weights(layer: tf.keras.layers.Layer, counted: set[int]) -> _Weights:
    """The weights of a layer and of the layers in it; what is in `counted` is not counted again."""
    found = _Weights()
    for part in (layer, *layer.submodules):
        if isinstance(part, _K.BatchNormalization) and id(part) not in counted:
            counted.update(id(v) for v in (part, *part.weights))
            channels = part.moving_mean.shape.num_elements()
            # Without scale and shift nothing is learned, but something is folded.
            found.float += 2 * channels * (part.scale or part.center)
            found.stored += 2 * channels
    for variable in layer.weights:
        # Freezing a layer does not change what its variables were made for.
        if id(variable) in counted or not variable.trainable:
            continue
        counted.add(id(variable))
        number = variable.shape.num_elements()
        if _precision(variable) == BINARY:
            found.binary += number
        else:
            found.float += number
            found.stored += number
    return found


def _operations(call: graph.Call, shapes, dense: bool) -> tuple[list[tuple[Any, int]], str]:
    """Multiply-accumulates of each kernel of a call, and what could not be counted."""
    layer = call.layer
    if isinstance(layer, _K.Dense):
        if not dense:
            return [], ""
        positions = shapes[call.outputs[0]][1:-1]
    elif isinstance(layer, _TRANSPOSED):
        # Here every pixel of the input meets every weight.
        positions = _image(layer, shapes[call.inputs[0]])
    elif _kernels(layer):
        positions = _image(layer, shapes[call.outputs[0]])
    else:
        return [], _unknown(layer)
    if None in positions:
        return [], f"operations not counted: they need the image's size, received {positions}"
    return [(k, math.prod(positions) * k.shape.num_elements()) for k in _kernels(layer)], ""


def _kernels(layer: tf.keras.layers.Layer) -> tuple[Any, ...]:
    if isinstance(layer, _DEPTHWISE):
        return (layer.depthwise_kernel,)
    if isinstance(layer, _SEPARABLE):
        return layer.depthwise_kernel, layer.pointwise_kernel
    if isinstance(layer, (_K.Dense, *_CONVOLUTIONS)):
        return (layer.kernel,)
    return ()


def _image(layer, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return shape[2:] if layer.data_format == "channels_first" else shape[1:-1]


def _unknown(layer: tf.keras.layers.Layer) -> str:
    kind = type(layer).__name__
    if isinstance(layer, _ELEMENTWISE) or hasattr(layer, "precision"):  # the latter: a quantizer
        return ""
    if layer.weights:
        return f"operations not counted: no rule for the layer {kind}"
    ours = getattr(layers, kind, None)
    if isinstance(layer, _K.Lambda) or type(layer) not in (getattr(_K, kind, None), ours):
        return f"operations not counted, if it has any: what a {kind} computes is not known"
    return ""


def _is_binary_operation(call: graph.Call, kernel, binary: set[graph.Value]) -> bool:
    if _precision(kernel) != BINARY:
        return False
    if isinstance(call.layer, _SEPARABLE) and kernel is call.layer.pointwise_kernel:
        return False  # it takes the sums of the depthwise one
    quantizer = getattr(call.layer, "input_quantizer", None)
    return call.inputs[0] in binary if quantizer is None else _precision(quantizer) == BINARY


def _binary_values(calls: graph.Graph) -> set[graph.Value]:
    """The values that hold two numbers only."""
    binary: set[graph.Value] = set()
    for call in calls.calls:
        moved = isinstance(call.layer, _MOVING) and binary.issuperset(call.inputs)
        # A quantizer is a layer itself, or the activation of one.
        made = BINARY in (_precision(call.layer), _precision(getattr(call.layer, "activation", None)))
        if moved or made:
            binary.update(call.outputs)
    return binary


def _precision(what: object) -> int | None:
    return getattr(what, "precision", FLOAT)
