"""From a Keras model to a TFLite flatbuffer, of the Larq Compute Engine or without custom operations.

The model is traced once as one function, and converted with its weights as constants.
`lce.convert_keras_model` starts from Keras's own SavedModel, for which Keras traces every layer several
times.

The traced function returns the output and the taps (`bnn_keras.deploy.conversion.taps`). In the file the
tensors of the taps have the names of their layers and are not outputs any more.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import larq_compute_engine as lce
import tensorflow as tf

from bnn_keras.deploy import rewrite
from bnn_keras.deploy.conversion import borders, forms, frozen
from bnn_keras.deploy.conversion.taps import OUTPUT, find_taps, tied_taps
from bnn_keras.deploy.exemptions import exempt
from bnn_keras.deploy.portable import converter, kernels
from bnn_keras.deploy.rewrite.computing import compute
from bnn_keras.deploy.rewrite.operations import Network
from bnn_keras.errors import UserError
from bnn_keras.nn.graph import Call, Graph, Value, read_graph
from bnn_keras.nn.inference import infer
from bnn_keras.nn.registration import traits_of
from bnn_keras.settings.input_type import FLOAT32
from bnn_keras.settings.runtime import BUILTIN
from bnn_keras.tflite.flatbuffer import Flatbuffer

INPUT = "image"


def to_flatbuffer(
    model: tf.keras.Model,
    unchecked: Sequence[str] = (),
    options: rewrite.Options = rewrite.OPTIMIZED,
    input_type: str = FLOAT32,
) -> bytes:
    """Convert a model, without checking anything.

    Args:
        model: functional or sequential, one input [batch, height, width, channels], one output, float32.
        unchecked: the names of layers that will not be compared, see `bnn_keras.convert`.
        options: which form the network gets. The file holds them, for its verification.
        input_type: of the image that the file takes, "float32" or "uint8", in [0, 255] in both.

    Returns:
        The bytes of a .tflite file that takes one image at a time. Its tensors at the taps have the names
        that `bnn_keras.deploy.conversion.taps.find_taps` gives them.

    Raises:
        UserError: the model is not of that form, or the converter cannot convert it.
    """
    graph = read_graph(model)
    _check_form(model, graph)
    network, _ = rewrite.rewritten(graph, options)
    taps = tied_taps(network, find_taps(graph, exempt(graph, unchecked)))
    # Not the names themselves: the names of a signature may not contain slashes.
    keys = {f"tap_{i}": value for i, value in enumerate(taps)}
    file = Flatbuffer(_convert(model, network, keys, options.runtime, input_type))
    names = {int(file.graph.inputs[0]): [INPUT]}
    indices = file.signature_outputs()
    for key, value in keys.items():
        names.setdefault(indices[key], []).append(taps[value])
    file.name_tensors(names)
    file.store_filled_kernels()
    file.pad_only_where_needed()
    if options.runtime == BUILTIN:
        kernels.store_as_int8(file, network.operations())
        file.drop_unused_constants()
    if rewrite.sections.NAME not in options.skip:
        file.quantize_before_joining()
    file.keep_output("tap_0", OUTPUT)
    if options != rewrite.IDENTITY:
        file.note(rewrite.NOTE, options.to_json())
    return file.pack()


def _check_form(model: tf.keras.Model, graph: Graph) -> None:
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UserError(
            f"convert takes models with one input and one output. "
            f"Received: {model.name!r} with {len(graph.inputs)} and {len(graph.outputs)}."
        )
    if None in graph.inputs[0].shape[1:]:
        raise UserError(
            f"convert takes models with a fixed image size. "
            f"Received: {model.name!r} with input shape {graph.inputs[0].shape}."
        )
    if model.compute_dtype != "float32":
        raise UserError(f"convert takes float32 models. Received: {model.name!r} in {model.compute_dtype}.")
    for weight in model.weights:
        if weight.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(weight))):
            raise UserError(
                f"convert takes models whose weights are finite numbers. Received: {model.name!r}, in which "
                f"values of {weight.name} are not."
            )


def _convert(
    model: tf.keras.Model, network: Network, outputs: dict[str, Value], runtime: str, input_type: str
) -> bytes:
    def function(image: tf.Tensor) -> dict[str, tf.Tensor]:
        computed = compute(network, tf.cast(image, tf.float32), _lower)
        # An identity, as an output of the function may not be its input.
        return {key: tf.identity(computed[network.ties[value].operation]) for key, value in outputs.items()}

    image = tf.TensorSpec((1, *network.image.shape[1:]), input_type, name=INPUT)
    with tempfile.TemporaryDirectory() as folder:
        frozen.save(function, image, Path(folder), model.name)
        if runtime == BUILTIN:
            layers = [one.call.path for one in network.operations() if one.call is not None]
            return converter.convert_saved_model(folder, model.name, layers)
        try:
            return lce.convert_saved_model(folder)
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"LCE cannot convert {model.name!r}: {str(error).strip().splitlines()[0]}"
            ) from error


def _lower(call: Call, fill: Callable[[Any], Any]) -> Any:
    args, kwargs = fill(call.args), fill(call.kwargs)
    if traits_of(call.layer).idle and not call.kwargs.get("training"):
        return tf.nest.flatten(args)[0]
    if form := forms.form_of(call):
        return form(tf.nest.flatten(args)[0])
    with forms.convertible(call.layer):
        if borders.need_care(call):
            return borders.padded_with_ones(call.layer, tf.nest.flatten(args)[0])
        return infer(call.layer, args, kwargs)
