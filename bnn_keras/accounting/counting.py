"""Parameters, size and operations of a model, per layer call and in total.

The rules are those of the MeliusNet paper (section 3.3, table 1) and its released code:

- Parameters: every weight that can be trained, and two for each channel of a BatchNorm even where
  its scale is fixed (MXNet stores the fixed one too). No moving statistics.
- Size: one bit for each binary weight, four bytes for every other one, and two values for each channel
  of a BatchNorm, which remain of it after folding.
- Operations: multiply-accumulates of convolutions, borders included. A convolution whose kernel and input
  are both binary costs binary operations (BOPs), any other one 32-bit operations (FLOPs). The final dense
  layer is left out, and with it every dense layer, binary or not; BNext's paper counts them, as does
  `profile(model, dense=True)`. Everything else (BatchNorm, pooling, additions) costs nothing.

The precision of the quantizers decides what is binary, never a name.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn.binary import BITS, FLOAT_BITS, is_one_bit
from bnn_keras.nn.graph import Call, Graph, Value, infer_shapes, one_bit_values, read_graph
from bnn_keras.nn.parts import find_parts
from bnn_keras.nn.registration import traits_of

BOPS_PER_OP = 64  # binary operations that take as long as one in 32 bits

_K = tf.keras.layers
_TRANSPOSED = (_K.Conv1DTranspose, _K.Conv2DTranspose, _K.Conv3DTranspose)
_CONVOLUTIONS = (_K.Conv1D, _K.Conv2D, _K.Conv3D)
_DEPTHWISE = (_K.DepthwiseConv1D, _K.DepthwiseConv2D)
_SEPARABLE = (_K.SeparableConv1D, _K.SeparableConv2D)

Shapes = Mapping[Value, tuple[int | None, ...]]


@dataclasses.dataclass(frozen=True)
class Row:
    """One call of one layer.

    Args:
        path: the layer's name, after the names of the nested models that contain it.
        stage: the name up to the first slash.
        type: the name of the layer's class.
        output_shape: with the batch dimension, None where unknown.
        kernel_shapes: of the convolution's or dense layer's kernels.
        params: number of weights; 0 from the second call of a shared layer on.
        binary_params: those of one bit among them.
        bits: size of the weights.
        bops, flops: multiply-accumulates, binary and 32-bit.
        note: what is not counted here, and why; "" if everything is.
        part: of a 32-bit convolution or dense layer, see `bnn_keras.nn.parts`; "" for all other layers.
        place: its number in the part, counted from 0.
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
    part: str = ""
    place: int = 0


@dataclasses.dataclass(frozen=True)
class Profile:
    """The rows of a model and their sums."""

    name: str
    rows: tuple[Row, ...]

    @property
    def params(self) -> int:
        """Number of weights."""
        return sum(row.params for row in self.rows)

    @property
    def binary_params(self) -> int:
        """Those of one bit among them."""
        return sum(row.binary_params for row in self.rows)

    @property
    def size_mib(self) -> float:
        """Size of the weights in MiB."""
        return sum(row.bits for row in self.rows) / 8 / 2**20

    @property
    def bops(self) -> int:
        """Binary multiply-accumulates."""
        return sum(row.bops for row in self.rows)

    @property
    def flops(self) -> int:
        """32-bit multiply-accumulates."""
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
        input_shape: height, width and channels, for a model whose only input has an unknown size.
        dense: count the operations of dense layers too.

    Returns:
        The rows in the order of computation. The parameters of a shared layer are counted once, its
        operations at every call. A layer whose operations are not known has a note: register it with
        `bnn_keras.nn.register(elementwise=True)` if it has none.

    Raises:
        UserError: the model has no graph, or convolutions over an image of unknown size.

    Example:
        >>> import bnn_keras, zoo
        >>> counted = bnn_keras.profile(zoo.build("resnete18"))
        >>> counted.params, round(counted.size_mib, 2)
        (11685838, 3.98)
    """
    calls = read_graph(model)
    shapes = infer_shapes(calls, input_shape)
    _check(calls, shapes)
    binary, places = one_bit_values(calls), find_parts(calls)
    counted: set[int] = set()
    rows = []
    for call in calls.calls:
        output_shape = shapes[call.outputs[0]]
        macs, note = _operations(call, shapes, dense)
        bops = sum(number for kernel, number in macs if _is_binary_operation(call, kernel, binary))
        weights, place = _weights(call.layer, counted), places.get(call)
        rows.append(
            Row(
                path=call.path,
                stage=call.stage,
                type=type(call.layer).__name__,
                output_shape=output_shape,
                kernel_shapes=tuple(tuple(kernel.shape) for kernel in _kernels(call.layer)),
                params=weights.binary + weights.float,
                binary_params=weights.binary,
                bits=weights.binary * BITS + weights.stored * FLOAT_BITS,
                bops=bops,
                flops=sum(number for _, number in macs) - bops,
                note=note,
                part=place.part if place else "",
                place=place.number if place else 0,
            )
        )
    return Profile(model.name, tuple(rows))


def _check(calls: Graph, shapes: Shapes) -> None:
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
    stored: int = 0  # of the 32-bit ones, those that remain after folding


def _weights(layer: tf.keras.layers.Layer, counted: set[int]) -> _Weights:
    """The weights of a layer and of the layers in it, without those in `counted`."""
    found = _Weights()
    for part in (layer, *layer.submodules):
        if isinstance(part, _K.BatchNormalization) and id(part) not in counted:
            counted.update(id(v) for v in (part, *part.weights))
            channels = part.moving_mean.shape.num_elements()
            # Without scale and shift nothing is learned, but something is folded.
            found.float += 2 * channels * (part.scale or part.center)
            found.stored += 2 * channels
    for variable in layer.weights:
        # A variable's own `trainable` stays as it was made if its layer is frozen.
        if id(variable) in counted or not variable.trainable:
            continue
        counted.add(id(variable))
        number = variable.shape.num_elements()
        if is_one_bit(variable):
            found.binary += number
        else:
            found.float += number
            found.stored += number
    return found


def _operations(call: Call, shapes: Shapes, dense: bool) -> tuple[list[tuple[Any, int]], str]:
    """Multiply-accumulates of each kernel of a call, and what could not be counted."""
    layer = call.layer
    if isinstance(layer, _K.Dense):
        if not dense:
            return [], ""
        positions = shapes[call.outputs[0]][1:-1]
    elif isinstance(layer, _TRANSPOSED):
        # Every pixel of the input is multiplied by every weight.
        positions = _image(layer, shapes[call.inputs[0]])
    elif _kernels(layer):
        positions = _image(layer, shapes[call.outputs[0]])
    else:
        return [], _unknown(layer)
    known = [size for size in positions if size is not None]
    if len(known) < len(positions):
        return [], f"operations not counted: they need the image's size, received {positions}"
    return [(k, math.prod(known) * k.shape.num_elements()) for k in _kernels(layer)], ""


def _kernels(layer: tf.keras.layers.Layer) -> tuple[Any, ...]:
    if isinstance(layer, _DEPTHWISE):
        return (layer.depthwise_kernel,)
    if isinstance(layer, _SEPARABLE):
        return layer.depthwise_kernel, layer.pointwise_kernel
    if isinstance(layer, (_K.Dense, *_CONVOLUTIONS)):
        return (layer.kernel,)
    return ()


def _image(layer: tf.keras.layers.Layer, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return shape[2:] if layer.data_format == "channels_first" else shape[1:-1]


def _unknown(layer: tf.keras.layers.Layer) -> str:
    traits, kind = traits_of(layer), type(layer)
    if traits.moves or traits.elementwise:
        return ""
    if layer.weights:
        return f"operations not counted: no rule for the layer {kind.__name__}"
    if isinstance(layer, _K.Lambda) or kind is not getattr(_K, kind.__name__, None):
        return f"operations not counted, if it has any: what a {kind.__name__} computes is not known"
    return ""


def _is_binary_operation(call: Call, kernel: Any, binary: set[Value]) -> bool:
    if not is_one_bit(kernel):
        return False
    if isinstance(call.layer, _SEPARABLE) and kernel is call.layer.pointwise_kernel:
        return False  # its input are the sums of the depthwise kernel
    quantizer = getattr(call.layer, "input_quantizer", None)
    return call.inputs[0] in binary if quantizer is None else is_one_bit(quantizer)
