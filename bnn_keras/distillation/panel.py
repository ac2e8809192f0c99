"""Who teaches: one teacher throughout, and one of the assistants at a time."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from bnn_keras.distillation.teacher import Teacher

# From a step's input to what the teachers say: their logits, and the features of the first one.
Ask = Callable[[tf.Tensor | dict], tuple[list[tf.Tensor], list[tf.Tensor]]]
IMAGE, KNOWLEDGE = "image", "knowledge"


class Panel:
    """The teachers, asked while the student is trained.

    Like a teacher it is not a Keras object: neither checkpoints nor trainable variables have it.

    Args:
        teacher: the strong one.
        assistants: in the order of their parts.
    """

    def __init__(self, teacher: Teacher, assistants: Sequence[Teacher] = ()):
        self.teacher, self.assistants = teacher, tuple(assistants)
        self.active = tf.Variable(0, trainable=False, name="assistant")

    def choose(self, number: int) -> None:
        """Let this assistant teach, counted from 0."""
        self.active.assign(number)

    def __call__(self, images: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Ask the teacher and the active assistant; the others cost nothing."""
        logits, features = self.teacher(images)
        if not self.assistants:
            return [logits], features
        if len(self.assistants) == 1:
            return [logits, self.assistants[0](images)[0]], features
        branches = [lambda assistant=assistant: assistant(images)[0] for assistant in self.assistants]
        return [logits, tf.switch_case(tf.identity(self.active), branches)], features


def written_down(inputs: dict) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """What the teachers of a batch said when they were asked beforehand."""
    return tf.unstack(inputs[KNOWLEDGE], axis=1), []
