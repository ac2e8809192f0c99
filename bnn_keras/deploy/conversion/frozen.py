"""A traced function with its weights as constants, in the form that LCE reads.

`tf.saved_model.save` also writes a checkpoint and traces functions for the variables, which takes several
times as long as the conversion itself.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from bnn_keras import files
from bnn_keras.errors import UserError

LARGEST = (
    2**31 - 2**24
)  # bytes of weights; a protocol buffer has less than 2 GiB, and holds the graph as well


def save(function: Callable, spec: tf.TensorSpec, folder: Path, name: str) -> None:
    """Trace a function, and write it as a SavedModel without variables.

    Args:
        function: from a tensor to a dict of tensors, which are the outputs of the signature.
        spec: shape, type and name of the tensor, which is the input of the signature.
        folder: that is written to.
        name: of the model, for the messages.

    Raises:
        UserError: the weights are too large, or an operation changes a variable or takes it as a whole.
    """
    with _nested_functions_inlined():
        traced = tf.function(function, autograph=False).get_concrete_function(spec)
    saved = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    graph = saved.meta_graphs.add()
    graph.meta_info_def.tags.append(tf.saved_model.SERVING)
    graph.meta_info_def.tensorflow_version = tf.__version__
    _freeze(traced, graph.graph_def, name)
    signature = graph.signature_def[tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
    signature.method_name = tf.saved_model.PREDICT_METHOD_NAME
    signature.inputs[spec.name].CopyFrom(_described(traced.inputs[0]))
    for key, tensor in traced.structured_outputs.items():
        signature.outputs[key].CopyFrom(_described(tensor))
    with files.writing(folder):
        (folder / "saved_model.pb").write_bytes(saved.SerializeToString())


@contextlib.contextmanager
def _nested_functions_inlined() -> Iterator[None]:
    """Let functions within the traced one become part of its graph, where their weights are seen."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _freeze(traced: tf.types.experimental.ConcreteFunction, frozen: graph_pb2.GraphDef, name: str) -> None:
    """Copy the graph of a function, with constants where it reads variables or tensors from outside."""
    handles = {id(variable.handle): variable for variable in traced.graph.variables}
    outside = {inner.op.name: handles.get(id(outer), outer) for outer, inner in traced.graph.captures}
    _check_size(outside.values(), name)
    variables = {key for key, value in outside.items() if isinstance(value, tf.Variable)}
    graph = traced.graph.as_graph_def()
    frozen.versions.CopyFrom(graph.versions)
    frozen.library.CopyFrom(graph.library)
    for node in graph.node:
        read = node.input[0] if node.op == "ReadVariableOp" else node.name
        if node.name in variables:
            continue
        if read in outside:
            _add_constant(frozen, node.name, outside[read])
        elif taken := variables.intersection(node.input):
            raise UserError(
                f"{name} cannot be converted: an operation {node.op} takes the variable "
                f"{outside[taken.pop()].name} itself, not its value."
            )
        else:
            frozen.node.add().CopyFrom(node)


def _check_size(values: Iterable[tf.Variable | tf.Tensor], name: str) -> None:
    size = sum(value.dtype.size * value.shape.num_elements() for value in values)
    if size > LARGEST:
        raise UserError(
            f"{name} has {size / 2**30:.2f} GiB of weights; at most {LARGEST / 2**30:.2f} can be converted."
        )


def _add_constant(graph: graph_pb2.GraphDef, name: str, value: tf.Variable | tf.Tensor) -> None:
    node = graph.node.add(name=name, op="Const")
    kind, shape = value.dtype.as_datatype_enum, value.shape.as_proto()
    node.attr["dtype"].type = kind
    content = value.numpy().tobytes()
    node.attr["value"].tensor.MergeFrom(
        tensor_pb2.TensorProto(dtype=kind, tensor_shape=shape, tensor_content=content)
    )


def _described(tensor: tf.Tensor) -> meta_graph_pb2.TensorInfo:
    shape, kind = tensor.shape.as_proto(), tensor.dtype.as_datatype_enum
    return meta_graph_pb2.TensorInfo(name=tensor.name, dtype=kind, tensor_shape=shape)
