"""Distances of a student's distribution over the classes from a teacher's."""

import tensorflow as tf


def log_probabilities(logits: tf.Tensor, temperature: float = 1.0) -> tf.Tensor:
    """The logarithm of softmax(logits / temperature), in float32 or float64.

    Args:
        logits: [batch, classes].
        temperature: values above 1 make the distribution flatter.
    """
    precise = logits if logits.dtype == tf.float64 else tf.cast(logits, tf.float32)
    return tf.nn.log_softmax(precise / temperature)


def cross_entropy(target: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """The cross-entropy, minus the sum over the classes of p log q.

    Args:
        target, other: log p and log q, [batch, classes].

    Returns:
        [batch].
    """
    return -tf.reduce_sum(tf.exp(target) * other, axis=-1)


def divergence(target: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """The Kullback-Leibler divergence KL(p || q).

    Args:
        target, other: log p and log q, [batch, classes].

    Returns:
        [batch].
    """
    return tf.reduce_sum(tf.exp(target) * (target - other), axis=-1)


def distribution_loss(student: tf.Tensor, teacher: tf.Tensor, temperature: float = 1.0) -> tf.Tensor:
    """The distribution loss: KL(teacher || student), multiplied by the square of the temperature.

    The factor keeps the size of the gradient independent of the temperature (Hinton, Vinyals, Dean,
    2015, section 2). No gradient flows to the teacher.

    Args:
        student, teacher: logits, [batch, classes].
        temperature: of both distributions.

    Returns:
        [batch].
    """
    target = tf.stop_gradient(log_probabilities(teacher, temperature))
    return temperature**2 * divergence(target, log_probabilities(student, temperature))
