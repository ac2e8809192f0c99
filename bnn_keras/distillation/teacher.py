"""A teacher: a network that is evaluated and never trained."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bnn_keras.errors import UserError, one_of
from bnn_keras.nn.precision import computes_in, in_policy
from bnn_keras.papers.teachers import knowledge_complexity

# Keras's names of the precisions in which a teacher computes; its variables and logits stay float32.
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclasses.dataclass(frozen=True, eq=False)
class Teacher:
    """A network and what is known about it.

    It is not a Keras object on purpose: a model that refers to it neither trains nor saves it.

    Args:
        name: as shown in reports.
        network: from RGB in [0, 255], of its own size, to logits [batch, classes].
        class_names: of the outputs, if known.
        accuracy: top-1 accuracy on held-out images as a fraction, if known.
        stages: names of layers whose outputs are returned too.
    """

    name: str
    network: tf.keras.Model
    class_names: tuple[str, ...] | None = None
    accuracy: float | None = None
    stages: tuple[str, ...] = ()
    _watched: tf.keras.Model = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        outputs = [self.network.get_layer(stage).output for stage in self.stages]
        watched = tf.keras.Model(self.network.inputs, [self.network.output, *outputs])
        object.__setattr__(self, "_watched", watched)

    def __call__(self, images: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Compute the logits, in inference mode.

        Args:
            images: RGB in [0, 255], [batch, size, size, 3], of any size.

        Returns:
            Logits, float32 or float64 [batch, classes], and the outputs of the `stages`.
        """
        size = self.network.input_shape[1:3]
        if None not in size and tuple(images.shape[1:3]) != size:
            images = tf.image.resize(images, size)
        logits, *features = tf.nest.flatten(self._watched(images, training=False))
        return logits if logits.dtype == tf.float64 else tf.cast(logits, tf.float32), features

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return int(self.network.output_shape[-1])

    @property
    def params(self) -> int:
        """Number of trainable parameters."""
        return trainable_parameters(self.network)

    @property
    def complexity(self) -> float | None:
        """Knowledge complexity (BNext, equation 3), if the accuracy is known."""
        return None if self.accuracy is None else knowledge_complexity(self.params, self.accuracy)

    @property
    def digest(self) -> str:
        """A hash of the weights, the types of the layers and the precisions that they compute in."""
        found = hashlib.sha256()
        # Without their names, whose numbers depend on what Keras built before.
        for layer in self.network.submodules:
            if isinstance(layer, tf.keras.layers.Layer):
                found.update(f"{type(layer).__name__} {layer.compute_dtype}\n".encode())
        for weight in self.network.get_weights():
            found.update(np.ascontiguousarray(weight).tobytes())
        return found.hexdigest()

    def watching(self, stages: Sequence[str]) -> "Teacher":
        """The same teacher with the outputs of these stages."""
        return dataclasses.replace(self, stages=tuple(stages))

    def check(self, class_names: Sequence[str], dataset: str) -> None:
        """Raise UserError unless its classes are these, in this order.

        Args:
            class_names: of the data set, in order.
            dataset: its name.
        """
        if self.classes != len(class_names):
            raise UserError(
                f"The teacher {self.name} has {self.classes} classes, {dataset} has {len(class_names)}: a "
                f"teacher must have been trained on the same classes."
            )
        for number, (own, other) in enumerate(zip(self.class_names or (), class_names, strict=False)):
            if own != other:
                raise UserError(
                    f"The teacher {self.name} calls class {number} {own!r}, {dataset} calls it {other!r}: a "
                    f"teacher must have been trained on the same classes in the same order."
                )


def trainable_parameters(network: tf.keras.Model) -> int:
    """The number of trainable parameters of a network."""
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


def to_logits(network: tf.keras.Model) -> tf.keras.Model:
    """Remove the softmax at the end of a network, if it has one."""
    last = network.layers[-1]
    softmax = tf.keras.activations.softmax
    if isinstance(last, tf.keras.layers.Softmax) or (
        isinstance(last, tf.keras.layers.Activation) and last.activation is softmax
    ):
        return tf.keras.Model(network.inputs, last.input, name=network.name)
    if getattr(last, "activation", None) is softmax:
        # Takes effect at once: a layer looks up its activation in each call.
        last.activation = tf.keras.activations.linear
    return network


def in_precision(network: tf.keras.Model, precision: str) -> tf.keras.Model:
    """The network if it computes in this precision already, otherwise a copy of it that does.

    The outputs stay in float32, and so do binary layers, whose sums of signs would not be exact in less.

    Raises:
        UserError: an unknown precision.
    """
    if precision not in PRECISIONS:
        raise one_of("teacher precision", precision, PRECISIONS)
    if precision == "float32" and computes_in(network, precision):
        return network
    return in_policy(network, PRECISIONS[precision])
