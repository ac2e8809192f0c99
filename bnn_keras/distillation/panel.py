"""The teachers of an epoch: the main teacher and the active assistant."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from bnn_keras.distillation.teacher import Teacher

# From the input of a step to the logits of each teacher, and the features of the main teacher.
Ask = Callable[[tf.Tensor | dict], tuple[list[tf.Tensor], list[tf.Tensor]]]
IMAGE, KNOWLEDGE = "image", "knowledge"


class Panel:
    """The teachers, computed while the student is trained.

    Like a teacher it is not a Keras object, so that neither checkpoints nor trainable variables include it.

    Args:
        teacher: the main teacher, of the whole training.
        assistants: in the order in which they teach.
    """

    def __init__(self, teacher: Teacher, assistants: Sequence[Teacher] = ()) -> None:
        self.teacher, self.assistants = teacher, tuple(assistants)
        self.active = tf.Variable(0, trainable=False, name="assistant")

    def choose(self, number: int) -> None:
        """Activate the assistant with this index."""
        self.active.assign(number)

    def __call__(self, images: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Compute the logits of the teacher and of the active assistant, and the teacher's features."""
        logits, features = self.teacher(images)
        if not self.assistants:
            return [logits], features
        if len(self.assistants) == 1:
            return [logits, self.assistants[0](images)[0]], features
        branches = [lambda assistant=assistant: assistant(images)[0] for assistant in self.assistants]
        return [logits, tf.switch_case(tf.identity(self.active), branches)], features


def read_answers(inputs: dict[str, tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """The logits of the teachers that a batch of `cache.CachedViews` includes, and no features."""
    return tf.unstack(inputs[KNOWLEDGE], axis=1), []
