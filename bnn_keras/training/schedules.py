"""The learning rate of a recipe at every iteration, composed of small schedules."""

import dataclasses
import math

import tensorflow as tf
from typing_extensions import Self, override

from bnn_keras.settings.recipe import Recipe

register = tf.keras.utils.register_keras_serializable(package="bnn_keras")
api = tf.keras.optimizers.schedules


class Schedule(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A function of the time that has passed: iterations, or epochs inside `PerEpoch`.

    It is computed in float64, because float32 cannot tell the iterations of a long run apart near the
    ends of a cosine. Subclasses are dataclasses whose fields are their config.
    """

    @override
    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        return self.at(tf.cast(step, tf.float64))

    def at(self, time: tf.Tensor) -> tf.Tensor:
        """The value at a time, both float64."""
        raise NotImplementedError

    @override
    def get_config(self) -> dict:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {k: api.serialize(v) if isinstance(v, Schedule) else v for k, v in values.items()}

    @override
    @classmethod
    def from_config(cls, config: dict) -> Self:
        return cls(**{k: api.deserialize(v) if isinstance(v, dict) else v for k, v in config.items()})


@register
@dataclasses.dataclass(eq=False)  # Keras wants to hash them
class Constant(Schedule):
    """Always the same value."""

    value: float

    @override
    def at(self, time: tf.Tensor) -> tf.Tensor:
        return tf.constant(self.value, tf.float64)


@dataclasses.dataclass(eq=False)
class Fall(Schedule):
    """A schedule that falls from the peak to the final value.

    Args:
        peak, final: values at time 0 and at the end.
        duration: of the fall.
    """

    peak: float
    duration: float
    final: float = 0.0

    def progress(self, time: tf.Tensor) -> tf.Tensor:
        """The share of the duration that has passed, at most 1."""
        return tf.minimum(time / max(self.duration, 1), 1.0)


@register
class Cosine(Fall):
    """Half a cosine from the peak to the final value, which it keeps afterwards."""

    @override
    def at(self, time: tf.Tensor) -> tf.Tensor:
        return self.final + 0.5 * (self.peak - self.final) * (1 + tf.cos(math.pi * self.progress(time)))


@register
class Linear(Fall):
    """A straight line from the peak to the final value, which it keeps afterwards."""

    @override
    def at(self, time: tf.Tensor) -> tf.Tensor:
        return self.peak + (self.final - self.peak) * self.progress(time)


@register
class CosineRestarts(Cosine):
    """A `Cosine` that starts again whenever it has ended (Loshchilov and Hutter, 2017, equation 5).

    Source: https://arxiv.org/abs/1608.03983, with cycles of equal length, the duration.
    """

    @override
    def at(self, time: tf.Tensor) -> tf.Tensor:
        return super().at(tf.math.floormod(time, self.duration))


@register
@dataclasses.dataclass(eq=False)
class Steps(Schedule):
    """A value that is multiplied by a factor at given times.

    Args:
        value: at time 0.
        times: when the value is multiplied.
        factor: by which it is multiplied each time.
    """

    value: float
    times: tuple[float, ...]
    factor: float = 0.1

    @override
    def at(self, time: tf.Tensor) -> tf.Tensor:
        passed = tf.reduce_sum(tf.cast(time >= tf.constant(self.times, tf.float64), tf.float64))
        return self.value * tf.pow(tf.constant(self.factor, tf.float64), passed)


@register
@dataclasses.dataclass(eq=False)
class OneCycle(Schedule):
    """A linear rise, a fall back to the start, and a linear last part (Smith and Topin, 2018).

    Source: https://arxiv.org/abs/1708.07120, in the form of BNAS's released code.

    Args:
        start, peak, final: values at time 0, in the middle of the cycle and at the end.
        cycle: time of the rise and the fall, which take half of it each.
        duration: of the whole schedule.
    """

    start: float
    peak: float
    final: float
    cycle: float
    duration: float

    @override
    def at(self, time: tf.Tensor) -> tf.Tensor:
        height = 1 - tf.abs(2 * time / self.cycle - 1)
        rest = tf.clip_by_value((time - self.cycle) / max(self.duration - self.cycle, 1), 0, 1)
        after = self.start + (self.final - self.start) * rest
        return tf.where(time <= self.cycle, self.start + (self.peak - self.start) * height, after)


@register
@dataclasses.dataclass(eq=False)
class Warmup(Schedule):
    """A linear rise followed by another schedule, whose time starts where the rise ends.

    Args:
        start, peak: values at time 0 and at the end of the rise.
        duration: of the rise.
        then: the schedule that follows.
    """

    start: float
    peak: float
    duration: float
    then: Schedule

    @override
    def at(self, time: tf.Tensor) -> tf.Tensor:
        rise = self.start + (self.peak - self.start) * time / self.duration
        return tf.where(time < self.duration, rise, self.then.at(time - self.duration))


@register
@dataclasses.dataclass(eq=False)
class Followed(Schedule):
    """A schedule for a duration, then another one, whose time starts where the first ends."""

    first: Schedule
    duration: float
    then: Schedule

    @override
    def at(self, time: tf.Tensor) -> tf.Tensor:
        return tf.where(time < self.duration, self.first.at(time), self.then.at(time - self.duration))


@register
@dataclasses.dataclass(eq=False)
class PerEpoch(Schedule):
    """A schedule that changes only between epochs.

    Args:
        epochs: a schedule whose time is the number of completed epochs.
        steps: iterations in an epoch.
    """

    epochs: Schedule
    steps: int

    @override
    def at(self, time: tf.Tensor) -> tf.Tensor:
        return self.epochs.at(tf.floor(time / self.steps))


def learning_rate_of(recipe: Recipe, steps_per_epoch: int) -> Schedule:
    """The learning rate that a recipe prescribes when an epoch has this many steps."""
    if recipe.schedule == "one_cycle":
        start, peak, final = recipe.warmup_learning_rate, recipe.learning_rate, recipe.final_learning_rate
        schedule: Schedule = _one_cycle(recipe, steps_per_epoch, start, peak, final)
    elif recipe.schedule == "cosine_per_epoch":
        # As in timm: the cosine spans all epochs but starts after the warm-up, so that the last epochs
        # do not reach the final value (used by BNext's released code).
        cosine = Cosine(recipe.learning_rate, recipe.epochs, recipe.final_learning_rate)
        schedule = PerEpoch(_after_warmup(recipe, cosine, 1), steps_per_epoch)
    else:
        schedule = _after_warmup(recipe, _main_part(recipe, steps_per_epoch), steps_per_epoch)
    epochs = recipe.epochs
    if recipe.tail_epochs:
        schedule = Followed(schedule, epochs * steps_per_epoch, Constant(recipe.tail_learning_rate))
        epochs += recipe.tail_epochs
    for extension in recipe.extensions:
        cosine = Cosine(recipe.learning_rate, extension * steps_per_epoch, recipe.final_learning_rate)
        schedule = Followed(schedule, epochs * steps_per_epoch, cosine)
        epochs += extension
    return schedule


def momentum_of(recipe: Recipe, steps_per_epoch: int) -> float | Schedule | None:
    """The momentum that a recipe prescribes: with one cycle it falls while the learning rate rises."""
    if recipe.momentum is None or recipe.cycle_momentum is None:
        return recipe.momentum
    start, peak = recipe.momentum, recipe.cycle_momentum
    return _one_cycle(recipe, steps_per_epoch, start, peak, start)


def _one_cycle(recipe: Recipe, steps: int, start: float, peak: float, final: float) -> OneCycle:
    all_steps = recipe.epochs * steps
    return OneCycle(start, peak, final, recipe.cycle_share * all_steps, all_steps)


def _after_warmup(recipe: Recipe, then: Schedule, steps: int) -> Schedule:
    duration = recipe.warmup_epochs * steps
    if not duration:
        return then
    return Warmup(recipe.warmup_learning_rate, recipe.learning_rate, duration, then)


def _main_part(recipe: Recipe, steps: int) -> Schedule:
    """What follows the warm-up; its time starts where the warm-up ends."""
    peak, final = recipe.learning_rate, recipe.final_learning_rate
    rest = (recipe.epochs - recipe.warmup_epochs) * steps
    if recipe.schedule == "cosine":
        return Cosine(peak, rest, final)
    if recipe.schedule == "linear":
        return Linear(peak, rest, final)
    if recipe.schedule == "cosine_restarts":
        return CosineRestarts(peak, (recipe.restart_epochs or recipe.epochs) * steps, final)
    if recipe.schedule == "steps":
        times = tuple((milestone - recipe.warmup_epochs) * steps for milestone in recipe.milestones)
        return Steps(peak, times, recipe.milestone_factor)
    return Constant(peak)
