"""The model that is compiled and fitted: the network with a loss, whose batches may be computed in parts."""

from typing import Any

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.settings.recipe import Recipe
from bnn_keras.training import objective, optimizers


class Trainer:
    """A part of a Keras model's class: its step may be computed in several parts of the batch.

    It is no Keras model itself: Keras changes the bases of a class when it makes a functional model of it,
    and so those of all classes that inherit from the same.

    Each part needs its own share of the memory only. The gradients of the parts are averaged before the
    optimizer takes its step, so that a network without BatchNorm computes the same as with the whole batch,
    up to rounding. BatchNorm takes its statistics over each part.

    Attributes:
        parts: of a batch; 1 computes it as a whole.
    """

    parts = 1

    def train_step(self: Any, data: Any) -> dict[str, tf.Tensor]:
        """Train on a batch, as Keras's method of this name."""
        if self.parts == 1:
            return tf.keras.Model.train_step(self, data)
        divided = tf.nest.map_structure(self._divide, data)
        weights = self.trainable_variables

        def add_part(i: tf.Tensor, sums: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
            x, y, share = tf.keras.utils.unpack_x_y_sample_weight(
                tf.nest.map_structure(lambda tensor: tensor[i], divided)
            )
            with tf.GradientTape() as tape:
                predicted = self(x, training=True)
                loss = self.compute_loss(x, y, predicted, share)
            gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
            # Not `compute_metrics`: its result is a sum over the replicas, which a loop must not contain.
            self.compiled_metrics.update_state(y, self.logits_of(predicted), share)
            return i + 1, [total + gradient for total, gradient in zip(sums, gradients, strict=True)]

        start = tf.constant(0), [tf.zeros_like(weight) for weight in weights]
        # One part after another: in parallel they would need the memory of the whole batch.
        _, sums = tf.while_loop(lambda i, _: i < self.parts, add_part, start, parallel_iterations=1)
        mean = [total / self.parts for total in sums]
        self.optimizer.apply_gradients(zip(mean, weights, strict=True))
        return self.get_metrics_result()

    def logits_of(self, output: Any) -> tf.Tensor:
        """The logits in the output of a training step."""
        return output

    def _divide(self, tensor: tf.Tensor) -> tf.Tensor:
        """[batch, ...] as [parts, batch / parts, ...]."""
        return tf.reshape(tensor, tf.concat([[self.parts, -1], tf.shape(tensor)[1:]], 0))


class PlainTrainer(Trainer, tf.keras.Model):
    """A functional model that is fitted by itself."""


def plain_trainer(network: tf.keras.Model) -> tf.keras.Model:
    """A model with the same layers, compiled in the network's place.

    A compiled network would be saved with its optimizer.
    """
    return PlainTrainer(network.inputs, network.outputs)


def compiled(trainer: tf.keras.Model, recipe: Recipe, steps: int, jit: bool = False) -> tf.keras.Model:
    """Compile a trainer with the recipe's optimizer, the loss and the metrics.

    Args:
        trainer: from images to logits.
        recipe: of the training.
        steps: in an epoch.
        jit: whether the steps are compiled with XLA.
    """
    optimizer = optimizers.optimizer_of(recipe, steps)
    # Otherwise the first step creates its variables and is traced twice.
    optimizer.build(trainer.trainable_variables)
    if isinstance(trainer, Trainer):
        trainer.parts = recipe.accumulate
    metrics = objective.metrics(trainer.output_shape[-1])
    trainer.compile(optimizer, objective.CrossEntropy(), metrics, jit_compile=jit)
    return trainer


def check_parts(trainer: tf.keras.Model, parts: int, batch_size: int, replicas: int) -> None:
    """Refuse parts of a batch that cannot be computed.

    Args:
        trainer: that is fitted.
        parts: of each batch.
        batch_size: images in a step, over all replicas.
        replicas: that share the batch.

    Raises:
        UserError: the batch does not divide evenly, or the trainer computes whole batches only.
    """
    if parts > 1 and not isinstance(trainer, Trainer):
        raise UserError(
            f"accumulate={parts} needs a trainer that is a bnn_keras.training.trainer.Trainer. "
            f"Received: a {type(trainer).__name__}."
        )
    if batch_size % (parts * replicas):
        images = f"a batch of {batch_size} images" + (f" on {replicas} devices" if replicas > 1 else "")
        raise UserError(f"accumulate must divide {images} evenly. Received: {parts}.")
