"""The learning rate of a recipe, iteration by iteration."""

import math

import tensorflow as tf

from bnn_keras.recipe import Recipe


@tf.keras.utils.register_keras_serializable(package="bnn_keras")
class WarmupCosine(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from 0 to the peak, a cosine to 0, and a constant tail.

    Args:
        peak: the highest learning rate.
        steps: iterations of rise and cosine together.
        warmup_steps: of them, those of the rise.
        tail: the learning rate of every later iteration.
    """

    def __init__(self, peak: float, steps: int, warmup_steps: int = 0, tail: float = 0.0):
        super().__init__()
        self.peak, self.steps, self.warmup_steps, self.tail = peak, steps, warmup_steps, tail

    def __call__(self, step):
        # float64: float32 cannot tell the iterations of a long run apart near the cosine's ends.
        step = tf.cast(step, tf.float64)
        rise = step / max(self.warmup_steps, 1)
        progress = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        cosine = 0.5 * (1 + tf.cos(math.pi * progress))
        rate = self.peak * tf.where(step < self.warmup_steps, rise, cosine)
        return tf.cast(tf.where(step < self.steps, rate, self.tail), tf.float32)

    def get_config(self):
        return {
            "peak": self.peak,
            "steps": self.steps,
            "warmup_steps": self.warmup_steps,
            "tail": self.tail,
        }


def of(recipe: Recipe, steps_per_epoch: int) -> WarmupCosine:
    """The schedule that a recipe means when an epoch has so many steps."""
    return WarmupCosine(
        recipe.learning_rate,
        recipe.epochs * steps_per_epoch,
        recipe.warmup_epochs * steps_per_epoch,
        recipe.tail_learning_rate,
    )
