"""The model that Keras fits when a student has teachers."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from bnn_keras.distillation import attention, ensemble
from bnn_keras.distillation.panel import IMAGE, Ask

ROLES = ("teacher", "assistant")


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a student with teachers minimises.

    (1 - label_weight) * ensemble + label_weight * labels + attention_weight * attention

    Args:
        ensemble: "paper" or "released" (see `ensemble`).
        temperature: of the distributions.
        label_weight: share of the cross-entropy with the labels, 0 to 1.
        attention_weight: of attention matching (see `attention`).
        stages: names of the layers that are matched.
    """

    ensemble: str = "paper"
    temperature: float = 1.0
    label_weight: float = 0.0
    attention_weight: float = 0.0
    stages: Sequence[str] = ()


class Distilled(tf.keras.Model):
    """A student with its teachers: all of Keras's `fit`, with another loss.

    In training its output is a dictionary with the student's logits and features, otherwise the
    logits: held-out images are judged by their labels alone, and no teacher is asked.

    Args:
        network: the student, to logits. It is trained in place, and what is saved is it.
        ask: gives the teachers' logits of a batch (`panel.Panel`, or `panel.written_down`).
        objective: what is minimised.
        teachers: how many answer, 1 or 2.
    """

    def __init__(self, network: tf.keras.Model, ask: Ask, objective: Objective, teachers: int):
        # Images stay float32 up to the first layer, which casts them if it computes in less.
        super().__init__(name=f"{network.name}_distilled", autocast=False)
        features = [network.get_layer(stage).output for stage in objective.stages]
        self.student = tf.keras.Model(network.inputs, [*network.outputs, *features])
        self._ask, self._objective = ask, objective
        roles = ROLES[:teachers]
        self.losses_of = [tf.keras.metrics.Mean(f"{role}_loss") for role in roles]
        self.weights_of = [tf.keras.metrics.Mean(f"{role}_weight") for role in roles]
        self.attention_of = [tf.keras.metrics.Mean("attention_loss")] if features else []

    @property
    def output_shape(self):
        """The shape of the student's logits."""
        return tuple(tf.nest.flatten(self.student.outputs)[0].shape)

    def call(self, inputs, training=None):
        images = inputs[IMAGE] if isinstance(inputs, dict) else inputs
        logits, *features = tf.nest.flatten(self.student(images, training=training))
        return {"logits": logits, "features": features} if training else logits

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
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
        # Through Keras's own: it keeps the running loss, and scales for several devices.
        share = tf.fill([tf.shape(student)[0]], tf.constant(objective.label_weight, student.dtype))
        return self.compiled_loss(y, student, share, regularization_losses=terms)

    def compute_metrics(self, x, y, y_pred, sample_weight):
        if isinstance(y_pred, dict):
            return super().compute_metrics(x, y, y_pred["logits"], sample_weight)
        results = super().compute_metrics(x, y, y_pred, sample_weight)
        own = {metric.name for metric in (*self.losses_of, *self.weights_of, *self.attention_of)}
        return {name: value for name, value in results.items() if name not in own}


def _update(metrics: Sequence[tf.keras.metrics.Mean], values) -> None:
    values = tf.unstack(values) if isinstance(values, tf.Tensor) else values
    for metric, value in zip(metrics, values, strict=True):
        metric.update_state(value)
