"""The gap-sensitive knowledge ensemble: of several teachers, the more distant has the larger weight.

BNext, section 4.2, equation 4, and what the authors' released code computes instead. T_i is the
distribution of teacher i, S that of the student, and b an image of the batch:

paper     mean over b of sum over i of w_bi KL(T_bi || S_b),      w = softmax over i of -sum S log T_i
released  1/n sum over i of (mean over b of w_bi) (mean over b of -sum T_bi log S_b),
                                                                  w = softmax over i of -sum T_i log S

The released code was meant to weight single images too, but it compares "instance" with "Instance",
and so multiplies means over the batch; it also divides by the number n of teachers. A single teacher
has the weight 1 in the paper's form, and a constant 1/2 in the code.

In both forms no gradient flows through the weights. Equation 4 leaves this open, and the code detaches
them. With a gradient, the student could lower the loss by moving away from the nearer teacher.
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from bnn_keras.distillation import losses

SINGLE_RELEASED = 0.5


@dataclasses.dataclass(frozen=True)
class Knowledge:
    """The loss of a batch with regard to its teachers.

    Args:
        loss: scalar.
        losses: of each teacher, without its weight, [teachers].
        weights: of each teacher, mean over the batch, [teachers].
    """

    loss: tf.Tensor
    losses: tf.Tensor
    weights: tf.Tensor


def paper_ensemble(student: tf.Tensor, teachers: Sequence[tf.Tensor], temperature: float = 1.0) -> Knowledge:
    """The ensemble of equation 4 as printed.

    Args:
        student: logits, [batch, classes].
        teachers: the logits of each teacher, [batch, classes].
        temperature: of all distributions; the divergences are multiplied by its square.
    """
    s, targets = _distributions(student, teachers, temperature)
    weights = _weights([losses.cross_entropy(s, target) for target in targets])
    each = temperature**2 * tf.stack([losses.divergence(target, s) for target in targets], axis=-1)
    return Knowledge(
        loss=tf.reduce_mean(tf.reduce_sum(weights * each, axis=-1)),
        losses=tf.reduce_mean(each, axis=0),
        weights=tf.reduce_mean(weights, axis=0),
    )


def released_ensemble(
    student: tf.Tensor, teachers: Sequence[tf.Tensor], temperature: float = 1.0
) -> Knowledge:
    """The ensemble of the authors' released code; for the arguments see `paper_ensemble`."""
    s, targets = _distributions(student, teachers, temperature)
    entropies = [losses.cross_entropy(target, s) for target in targets]
    each = temperature**2 * tf.reduce_mean(tf.stack(entropies, axis=-1), axis=0)
    weights = (
        tf.constant([SINGLE_RELEASED], each.dtype)
        if len(teachers) == 1
        else tf.reduce_mean(_weights(entropies), axis=0)
    )
    return Knowledge(loss=tf.reduce_sum(weights * each) / len(teachers), losses=each, weights=weights)


FORMS: dict[str, Callable[..., Knowledge]] = {"paper": paper_ensemble, "released": released_ensemble}


def _distributions(
    student: tf.Tensor, teachers: Sequence[tf.Tensor], temperature: float
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The logarithms of the distributions, those of the teachers without a gradient."""
    return losses.log_probabilities(student, temperature), [
        tf.stop_gradient(losses.log_probabilities(teacher, temperature)) for teacher in teachers
    ]


def _weights(entropies: list[tf.Tensor]) -> tf.Tensor:
    """The weights of the teachers for each image, [batch, teachers]."""
    return tf.stop_gradient(tf.nn.softmax(tf.stack(entropies, axis=-1)))
