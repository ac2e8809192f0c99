"""The model that Keras fits when a student has teachers."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf
from typing_extensions import override

from bnn_keras.distillation import attention, ensemble
from bnn_keras.distillation.panel import IMAGE, Ask
from bnn_keras.training.trainer import Trainer

ROLES = ("teacher", "assistant")


@dataclasses.dataclass(frozen=True)
class Objective:
    """What the training of a student with teachers minimises:

    (1 - label_weight) * ensemble + label_weight * labels + attention_weight * attention

    Args:
        ensemble: "paper" or "released"; see `bnn_keras.distillation.ensemble`.
        temperature: of all distributions over the classes.
        label_weight: share of the cross-entropy with the labels, from 0 to 1.
        attention_weight: of attention matching; see `bnn_keras.distillation.attention`.
        stages: names of the layers that are matched.
    """

    ensemble: str = "paper"
    temperature: float = 1.0
    label_weight: float = 0.0
    attention_weight: float = 0.0
    stages: Sequence[str] = ()


class Distilled(Trainer, tf.keras.Model):
    """A student with its teachers: a model for Keras's `fit` with another loss.

    In training its output is a dictionary with the student's logits and features. In evaluation it is the
    logits alone: the loss on held-out images is that of their labels, and no teacher is computed.

    Args:
        network: the student, from images to logits; it is trained in place.
        ask: returns the teachers' logits of a batch: a `panel.Panel`, or `panel.read_answers`.
        objective: what is minimised.
        teachers: the number of teachers at a time, 1 or 2.
    """

    def __init__(self, network: tf.keras.Model, ask: Ask, objective: Objective, teachers: int) -> None:
        # No autocast: images stay float32 up to the first layer, which casts them if necessary.
        super().__init__(name=f"{network.name}_distilled", autocast=False)
        features = [network.get_layer(stage).output for stage in objective.stages]
        self.student = tf.keras.Model(network.inputs, [*network.outputs, *features])
        self._ask, self._objective = ask, objective
        roles = ROLES[:teachers]
        self.losses_of = [tf.keras.metrics.Mean(f"{role}_loss") for role in roles]
        self.weights_of = [tf.keras.metrics.Mean(f"{role}_weight") for role in roles]
        self.attention_of = [tf.keras.metrics.Mean("attention_loss")] if features else []

    @property
    @override
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the student's logits."""
        return tuple(tf.nest.flatten(self.student.outputs)[0].shape)

    @override
    def call(self, inputs: tf.Tensor | dict, training: bool | None = None) -> tf.Tensor | dict:
        images = inputs[IMAGE] if isinstance(inputs, dict) else inputs
        logits, *features = tf.nest.flatten(self.student(images, training=training))
        if not training:
            return logits
        # Those of a student in mixed precision are compared in the precision of its logits.
        return {"logits": logits, "features": [tf.cast(f, logits.dtype) for f in features]}

    @override
    def compute_loss(
        self,
        x: tf.Tensor | dict | None = None,
        y: tf.Tensor | None = None,
        y_pred: tf.Tensor | dict | None = None,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        if not isinstance(y_pred, dict):
            return super().compute_loss(x, y, y_pred, sample_weight)
        student, objective = y_pred["logits"], self._objective
        teachers, features = self._ask(x)
        knowledge = ensemble.FORMS[objective.ensemble](student, teachers, objective.temperature)
        _update(self.losses_of, knowledge.losses)
        _update(self.weights_of, knowledge.weights)
        terms = [(1 - objective.label_weight) * knowledge.loss, *self.losses]
        if objective.stages:
            distance = attention.attention_loss(y_pred["features"], features)
            _update(self.attention_of, [distance])
            terms.append(objective.attention_weight * distance)
        # Keras's own container keeps the running loss, and scales for several devices.
        share = tf.fill([tf.shape(student)[0]], tf.constant(objective.label_weight, student.dtype))
        return self.compiled_loss(y, student, share, regularization_losses=terms)

    @override
    def logits_of(self, output: dict) -> tf.Tensor:
        return output["logits"]

    @override
    def compute_metrics(
        self,
        x: tf.Tensor | dict,
        y: tf.Tensor,
        y_pred: tf.Tensor | dict,
        sample_weight: tf.Tensor | None,
    ) -> dict[str, tf.Tensor]:
        if isinstance(y_pred, dict):
            return super().compute_metrics(x, y, self.logits_of(y_pred), sample_weight)
        results = super().compute_metrics(x, y, y_pred, sample_weight)
        own = {metric.name for metric in (*self.losses_of, *self.weights_of, *self.attention_of)}
        return {name: value for name, value in results.items() if name not in own}


def _update(metrics: Sequence[tf.keras.metrics.Mean], values: tf.Tensor | list[tf.Tensor]) -> None:
    values = tf.unstack(values) if isinstance(values, tf.Tensor) else values
    for metric, value in zip(metrics, values, strict=True):
        metric.update_state(value)
