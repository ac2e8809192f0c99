"""The gap-sensitive knowledge ensemble: several teachers, the one further away weighs more.

BNext, section 4.2, equation 4, and what the authors' released code computes instead. With T_i a
teacher's and S the student's distribution, and B images a batch:

paper     mean over b of sum over i of w_bi KL(T_bi || S_b),      w = softmax over i of -sum S log T_i
released  1/n sum over i of (mean over b of w_bi) (mean over b of -sum T_bi log S_b),
                                                                  w = softmax over i of -sum T_i log S

The released code means the weights for the single image too, but compares "instance" with
"Instance", and so multiplies means of the batch; and it divides by the number n of teachers. A
single teacher weighs 1 in the paper's form and 1/2 in the code, which has a constant there.

The weights say whom to listen to and are not themselves learnt: no gradient flows through them, in
either form. (Equation 4 leaves it open, the code detaches them. With a gradient, the student could
lower the loss by moving away from the nearer teacher.)
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from bnn_keras.distillation import losses

SINGLE_RELEASED = 0.5


@dataclasses.dataclass(frozen=True)
class Knowledge:
    """What the teachers say about a batch.

    Args:
        loss: scalar.
        losses: of each teacher, unweighted, [teachers].
        weights: of each teacher, the batch's mean, [teachers].
    """

    loss: tf.Tensor
    losses: tf.Tensor
    weights: tf.Tensor


def paper(student: tf.Tensor, teachers: Sequence[tf.Tensor], temperature: float = 1.0) -> Knowledge:
    """Equation 4 as it is printed.

    Args:
        student: logits, [batch, classes].
        teachers: the logits of each.
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


def released(student: tf.Tensor, teachers: Sequence[tf.Tensor], temperature: float = 1.0) -> Knowledge:
    """What the authors' code computes; arguments as in `paper`."""
    s, targets = _distributions(student, teachers, temperature)
    entropies = [losses.cross_entropy(target, s) for target in targets]
    each = temperature**2 * tf.reduce_mean(tf.stack(entropies, axis=-1), axis=0)
    weights = (
        tf.constant([SINGLE_RELEASED], each.dtype)
        if len(teachers) == 1
        else tf.reduce_mean(_weights(entropies), axis=0)
    )
    return Knowledge(loss=tf.reduce_sum(weights * each) / len(teachers), losses=each, weights=weights)


FORMS: dict[str, Callable[..., Knowledge]] = {"paper": paper, "released": released}


def _distributions(student, teachers, temperature: float):
    """The logarithms, those of the teachers without a gradient."""
    return losses.log_probabilities(student, temperature), [
        tf.stop_gradient(losses.log_probabilities(teacher, temperature)) for teacher in teachers
    ]


def _weights(entropies: list[tf.Tensor]) -> tf.Tensor:
    """[batch, teachers]."""
    return tf.stop_gradient(tf.nn.softmax(tf.stack(entropies, axis=-1)))
