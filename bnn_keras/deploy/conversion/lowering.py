"""From a Keras model to a TFLite flatbuffer of the Larq Compute Engine.

One function is traced, saved as it is and converted: Keras's own export of a SavedModel, which
`lce.convert_keras_model` starts from, traces every layer several times over.

Besides its result the traced function returns the tensors at which the file is checked later, the
taps. In the file they then have the names of their layers, and are no outputs any more. Only tensors
that exist in the file anyway are tapped, so that nothing is left unfused for the sake of a check.
"""

import functools
import tempfile

import larq as lq
import larq_compute_engine as lce
import tensorflow as tf

from bnn_keras.deploy.conversion import borders
from bnn_keras.errors import UserError
from bnn_keras.files import writing
from bnn_keras.nn import graph as graphs
from bnn_keras.tflite.flatbuffer import Flatbuffer

INPUT, OUTPUT = "image", "output"
keras = tf.keras.layers
# What may stand between a binary convolution and a sign for LCE to hand on signs only.
HANDED_ON = (keras.BatchNormalization, keras.ReLU, keras.MaxPooling2D)
# What a converter may fuse into the operation before it.
FUSED = (keras.BatchNormalization, keras.ReLU, keras.Activation, keras.Reshape, keras.Flatten)
# What it may fuse into the operation behind it, or turn into none.
MOVED = (keras.InputLayer, keras.ZeroPadding2D, keras.Reshape, keras.Flatten, keras.Dropout, keras.Permute)


def to_flatbuffer(model: tf.keras.Model) -> bytes:
    """Convert a model, without checking anything.

    Args:
        model: functional or sequential, one input [batch, height, width, channels], one output, float32.

    Returns:
        The bytes of a .tflite file for one image at a time; its tensors at the taps are named as
        `taps` names them.

    Raises:
        UserError: the model is not of that form, or LCE cannot convert it.
    """
    graph = graphs.of(model)
    _check_form(model, graph)
    tapped = taps(graph)
    # Not the layer's name itself: a signature's names may not hold slashes.
    keys = {f"tap_{i}": value for i, value in enumerate(tapped)}
    flatbuffer = Flatbuffer(_convert(model, graph, keys | {OUTPUT: graph.outputs[0]}))
    indices = flatbuffer.signature_outputs()
    names = {indices[key]: tapped[value] for key, value in keys.items()}
    flatbuffer.rename(names | {indices[OUTPUT]: OUTPUT, int(flatbuffer.graph.inputs[0]): INPUT})
    flatbuffer.keep_outputs([OUTPUT])
    return flatbuffer.pack()


def taps(graph: graphs.Graph) -> dict[graphs.Value, str]:
    """The tensors between layers at which a file is compared with its model, with their names.

    They are the ends of stages, what several layers take, what goes into a sign, and everything else
    that no operation swallows: all but what is fused into its neighbour, and what lies between a
    binary convolution and a sign, where LCE may hand on signs only.
    """
    found: dict[graphs.Value, str] = {}
    names: set[str] = set()
    stages = {call.stage for call in graph.calls if "/" in call.path}
    for call in graph.calls:
        for value in call.outputs:
            if value in graph.outputs or _hands_on_signs(graph, value):
                continue
            if call.path in stages or len(graph.consumers(value)) > 1 or _stands_alone(graph, call, value):
                name = call.path
                while name in names:  # a layer that is called more than once
                    name += "'"
                names.add(name)
                found[value] = name
    return found


def _stands_alone(graph: graphs.Graph, call: graphs.Call, value: graphs.Value) -> bool:
    # What a plain TensorFlow function becomes is not known; a sign of our own kind is a layer.
    plain = [one for one in (call, *graph.consumers(value)) if type(one.layer).__name__.endswith("OpLambda")]
    fused = any(isinstance(taker.layer, FUSED) for taker in graph.consumers(value))
    return not (plain or fused or isinstance(call.layer, (*MOVED, lq.quantizers.Quantizer)))


def _hands_on_signs(graph: graphs.Graph, value: graphs.Value) -> bool:
    producer = graph.producer(value)
    while producer is not None and isinstance(producer.layer, HANDED_ON):
        producer = graph.producer(producer.inputs[0])
    if producer is None or getattr(producer.layer, "kernel_quantizer", None) is None:
        return False
    takers = graph.consumers(value)
    while takers:
        if any(_takes_signs(taker.layer) for taker in takers):
            return True
        passed = [taker for taker in takers if isinstance(taker.layer, HANDED_ON)]
        takers = [more for taker in passed for more in graph.consumers(taker.outputs[0])]
    return False


def _takes_signs(layer: tf.keras.layers.Layer) -> bool:
    return isinstance(layer, lq.quantizers.Quantizer) or getattr(layer, "input_quantizer", None) is not None


def _check_form(model: tf.keras.Model, graph: graphs.Graph) -> None:
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


def _convert(model: tf.keras.Model, graph: graphs.Graph, outputs: dict[str, graphs.Value]) -> bytes:
    @functools.partial(tf.function, autograph=False)
    def function(image):
        values = graphs.run(graph, {graph.inputs[0]: image}, _lower)
        # An identity, so that an output which is an input as well has a tensor of its own.
        return {key: tf.identity(values[value]) for key, value in outputs.items()}

    module = tf.Module()
    module.function = function.get_concrete_function(
        tf.TensorSpec((1, *graph.inputs[0].shape[1:]), tf.float32, name=INPUT)
    )
    # Larq's quantized variables wrap the ones that are saved.
    module.weights = [getattr(variable, "latent_variable", variable) for variable in model.variables]
    with tempfile.TemporaryDirectory() as folder, writing(folder):
        # Gradients are of no use in the file, and saving those of every sign takes longest.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, folder, signatures=module.function, options=options)
        try:
            return lce.convert_saved_model(folder)
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"LCE cannot convert {model.name!r}: {str(error).strip().splitlines()[0]}"
            ) from error


def _lower(call: graphs.Call, fill):
    args, kwargs = fill(call.args), fill(call.kwargs)
    if borders.need_care(call):
        return borders.padded_with_ones(call.layer, tf.nest.flatten(args)[0])
    return call.layer(*args, **kwargs)
