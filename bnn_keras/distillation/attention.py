"""Attention matching: the student attends to the same places as the teacher.

Real-to-Binary (Martinez et al., 2020, section 4.2), after Zagoruyko and Komodakis (2017). An
attention map is the sum of the squares of a feature map over its channels, divided by its 2-norm over
the image. Stages of student and teacher are matched by their names, so a student and its 32-bit twin
match without settings.
"""

from collections.abc import Sequence

import tensorflow as tf

from bnn_keras.errors import UserError

EPSILON = 1e-12  # added to the squared norm, because a stage may be all zeros


def attention_map(features: tf.Tensor) -> tf.Tensor:
    """The attention map of a stage.

    Args:
        features: [batch, height, width, channels].

    Returns:
        Maps of norm 1, [batch, height * width].
    """
    precise = features if features.dtype == tf.float64 else tf.cast(features, tf.float32)
    energy = tf.reduce_sum(tf.square(precise), axis=-1)
    flat = tf.reshape(energy, [tf.shape(energy)[0], energy.shape[1] * energy.shape[2]])
    return tf.math.l2_normalize(flat, axis=-1, epsilon=EPSILON)


def attention_loss(student: Sequence[tf.Tensor], teacher: Sequence[tf.Tensor]) -> tf.Tensor:
    """The mean squared distance between the attention maps, summed over the stages.

    Args:
        student, teacher: the features of each stage, which may differ in their channels only. No
            gradient flows to the teacher.

    Returns:
        A scalar, for each stage from 0 (the same places) to 2 (disjoint places).
    """
    distances = [
        tf.reduce_sum(tf.math.squared_difference(attention_map(s), tf.stop_gradient(attention_map(t))), -1)
        for s, t in zip(student, teacher, strict=True)
    ]
    return tf.add_n([tf.reduce_mean(distance) for distance in distances])


def common_stages(student: tf.keras.Model, teacher: tf.keras.Model) -> list[str]:
    """The last stage of each image size that both networks have under the same name.

    The name of a stage has no "/", unlike that of a layer within a stage.

    Raises:
        UserError: there is no such stage.
    """
    theirs = {layer.name: _image_size(layer) for layer in teacher.layers}
    last = {}
    for layer in student.layers:
        size = _image_size(layer)
        stage = size is not None and "/" not in layer.name and not _is_input(layer)
        if stage and theirs.get(layer.name) == size:
            last[size] = layer.name
    if not last:
        raise UserError(
            f"Attention matching needs stages of the same name and image size, and {student.name} and the "
            f"teacher {teacher.name} have none in common."
        )
    return list(last.values())


def check_stages(student: tf.keras.Model, teacher: tf.keras.Model, stages: Sequence[str]) -> None:
    """Raise UserError unless both networks have these stages with the same image size."""
    for name in stages:
        sizes = []
        for network in (student, teacher):
            layer = next((layer for layer in network.layers if layer.name == name), None)
            if layer is None or _image_size(layer) is None:
                raise UserError(f"Attention matching: {network.name} has no feature map called {name!r}.")
            sizes.append(_image_size(layer))
        if sizes[0] != sizes[1]:
            raise UserError(
                f"Attention matching: {name!r} is {sizes[0]} pixels in {student.name} and {sizes[1]} in the "
                f"teacher {teacher.name}; they must be the same."
            )


def _image_size(layer: tf.keras.layers.Layer) -> tuple[int, int] | None:
    shape = layer.output_shape
    return tuple(shape[1:3]) if isinstance(shape, tuple) and len(shape) == 4 else None


def _is_input(layer: tf.keras.layers.Layer) -> bool:
    return isinstance(layer, tf.keras.layers.InputLayer) or layer.name == "normalization"
