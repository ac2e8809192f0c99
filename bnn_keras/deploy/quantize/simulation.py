"""Quantization of weights and activations in floating point (BNext, section 7.5, equations 5 and 6).

The paper writes the rule, the released code says over what the ranges go: the kernel of a 1x1 convolution
or a dense layer has a range for each output channel, a larger kernel one for each slice of an input and an
output channel; activations have a range for each image, and if they are feature maps one for each channel
as well. All ranges are those of the values themselves, so nothing is calibrated.
"""

from typing import Any

import tensorflow as tf
from typing_extensions import override

from bnn_keras.errors import UserError
from bnn_keras.nn.graph import read_graph
from bnn_keras.nn.parts import PARTS, Place, find_parts
from bnn_keras.settings.quantization import FLOAT, Bits, Plan

K = tf.keras.layers
# Of the released code: values are cut at these magnitudes first, and a range is never 0.
LARGEST, LARGEST_OF_DENSE = 1000.0, 25.0
SPARE = 1e-8
NORM = 2.0  # times the mean magnitude of an output channel, by which its weights are divided (equation 6)


def min_max(values: tf.Tensor, bits: int, axes: list[int], largest: float = LARGEST) -> tf.Tensor:
    """Round values to 2^bits levels between their minimum and maximum (equation 5).

    The gradient passes as it is, except for values beyond `largest`, which are cut.

    Args:
        values: of any shape and float type.
        bits: 32 leaves the values as they are.
        axes: that share a range.
        largest: magnitude that values are cut at.
    """
    if bits == FLOAT:
        return values

    def rounded(cut: tf.Tensor) -> tf.Tensor:
        low = tf.reduce_min(cut, axes, keepdims=True)
        spread = tf.reduce_max(cut, axes, keepdims=True) - low + SPARE
        steps = tf.constant(2**bits - 1, values.dtype)
        # In a graph TensorFlow subtracts `SPARE` from `low`, where float32 loses it: of a constant map the
        # range is 0 then.
        return tf.round(tf.math.divide_no_nan(cut - low, spread) * steps) / steps * spread + low

    limit = tf.constant(largest, values.dtype)
    return tf.grad_pass_through(rounded)(tf.clip_by_value(values, -limit, limit))


def quantized_kernel(kernel: tf.Tensor, bits: int) -> tf.Tensor:
    """A kernel in so many bits (equation 6).

    Args:
        kernel: [height, width, input channels, output channels], or [inputs, outputs] of a dense layer.
        bits: of each weight.
    """
    if bits == FLOAT:
        return kernel
    rank = len(kernel.shape)
    all_but_last = list(range(rank - 1))
    one_place = rank == 2 or tuple(kernel.shape[:2]) == (1, 1)
    norm = NORM * tf.stop_gradient(tf.reduce_mean(tf.abs(kernel), all_but_last, keepdims=True))
    axes = all_but_last if one_place else [0, 1]
    return min_max(kernel / norm, bits, axes, LARGEST_OF_DENSE if rank == 2 else LARGEST) * norm


def quantized_activations(values: tf.Tensor, bits: int) -> tf.Tensor:
    """Activations in so many bits, with the ranges of each image (equation 5).

    Args:
        values: [batch, height, width, channels] or [batch, channels].
        bits: of each value.
    """
    if len(values.shape) == 2:
        return min_max(values, bits, [1], LARGEST_OF_DENSE)
    return min_max(values, bits, [1, 2, 3] if tuple(values.shape[1:3]) == (1, 1) else [1, 2])


class QuantizedLayer(tf.keras.layers.Wrapper):
    """A convolution or dense layer with quantized weights and activations.

    Args:
        layer: a `Conv2D` or `Dense`, whose weights stay in floating point and are trained.
        bits: of its weights and its input.
        takes_image: the input is left as it is, as in the released code.
    """

    def __init__(
        self, layer: tf.keras.layers.Layer, bits: Bits, takes_image: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(layer, **{"name": layer.name, **kwargs})
        self.bits, self.takes_image = bits, takes_image

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        layer = self.layer
        kernel = quantized_kernel(tf.convert_to_tensor(layer.kernel), self.bits.weights)
        taken = inputs if self.takes_image else quantized_activations(inputs, self.bits.activations)
        is_dense = isinstance(layer, K.Dense)
        outputs = tf.tensordot(taken, kernel, 1) if is_dense else layer.convolution_op(taken, kernel)
        return layer.activation(outputs + layer.bias if layer.use_bias else outputs)


def parts_of(model: tf.keras.Model) -> dict[int, Place]:
    """The places of the 32-bit layers of a model, by the identity of the layer.

    Raises:
        UserError: the model has no binary layer, or no other convolution or dense layer.
    """
    places = {id(call.layer): place for call, place in find_parts(read_graph(model)).items()}
    if not places:
        raise UserError(
            f"{model.name} has no 32-bit layers beside binary ones, whose bits could be lowered; valid: a "
            f"binary network."
        )
    return places


def check_plan(model: tf.keras.Model, plan: Plan) -> None:
    """Refuse bits for a part that a network does not have.

    Raises:
        UserError: it has no such part.
    """
    there = {place.part for place in parts_of(model).values()}
    for part in plan.parts:
        if part not in there:
            has = ", ".join(name for name in PARTS if name in there)
            raise UserError(f"{model.name} has no layers of the part {part!r} to quantize; it has: {has}.")


def simulate(model: tf.keras.Model, plan: Plan) -> tf.keras.Model:
    """A copy of a model with quantized parts, of which only the quantized layers are trained.

    Args:
        model: functional; its progressive kernels are signs (`bnn_keras.deploy.conversion.hardening`).
        plan: the bits of each part.

    Raises:
        UserError: it has no such part.
    """
    check_plan(model, plan)
    places = parts_of(model)

    def copied(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        copy = type(layer).from_config(layer.get_config())
        place = places.get(id(layer))
        bits = plan.bits_of(place.part, place.number) if place else Bits(FLOAT, FLOAT)
        if place is None or bits == Bits(FLOAT, FLOAT):
            return copy
        return QuantizedLayer(copy, bits, place.takes_image)

    simulated = tf.keras.models.clone_model(model, clone_function=copied)
    simulated.set_weights(model.get_weights())
    for layer in simulated.submodules:
        # A frozen BatchNorm keeps its statistics.
        if isinstance(layer, K.Layer) and not isinstance(layer, tf.keras.Model):
            layer.trainable = isinstance(layer, QuantizedLayer)
    for layer in simulated.submodules:
        if isinstance(layer, QuantizedLayer):
            layer.layer.trainable = True
    return simulated
