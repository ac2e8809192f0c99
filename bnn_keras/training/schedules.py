"""The learning rate of a recipe, iteration by iteration; small schedules that are put together."""

import dataclasses
import math

import tensorflow as tf

from bnn_keras.settings.recipe import Recipe

register = tf.keras.utils.register_keras_serializable(package="bnn_keras")
api = tf.keras.optimizers.schedules


class Schedule(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A function of the time that has passed: iterations, or epochs inside of `PerEpoch`.

    In float64: float32 cannot tell the iterations of a long run apart near a cosine's ends.
    Subclasses are dataclasses, whose fields are their config.
    """

    def __call__(self, step):
        return self.at(tf.cast(step, tf.float64))

    def at(self, time: tf.Tensor) -> tf.Tensor:
        """The value at a time, both float64."""
        raise NotImplementedError

    def get_config(self):
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {k: api.serialize(v) if isinstance(v, Schedule) else v for k, v in values.items()}

    @classmethod
    def from_config(cls, config):
        return cls(**{k: api.deserialize(v) if isinstance(v, dict) else v for k, v in config.items()})


@register
@dataclasses.dataclass(eq=False)  # Keras wants to hash them
class Constant(Schedule):
    """Always the same value."""

    value: float

    def at(self, time):
        return tf.constant(self.value, tf.float64)


@register
@dataclasses.dataclass(eq=False)
class Cosine(Schedule):
    """From the peak along half a cosine to the end, and there it stays.

    Args:
        peak, final: values at time 0 and at the end.
        duration: how long it takes.
    """

    peak: float
    duration: float
    final: float = 0.0

    def at(self, time):
        progress = tf.minimum(time / max(self.duration, 1), 1.0)
        return self.final + 0.5 * (self.peak - self.final) * (1 + tf.cos(math.pi * progress))


@register
@dataclasses.dataclass(eq=False)
class CosineRestarts(Schedule):
    """A `Cosine` that begins again whenever it has ended (Loshchilov and Hutter, 2017, equation 5).

    Source: https://arxiv.org/abs/1608.03983, with cycles of one length.

    Args:
        peak, final: values at the beginning of a cycle and at its end.
        duration: of a cycle.
    """

    peak: float
    duration: float
    final: float = 0.0

    def at(self, time):
        return Cosine(self.peak, self.duration, self.final).at(tf.math.floormod(time, self.duration))


@register
@dataclasses.dataclass(eq=False)
class Steps(Schedule):
    """A value that is multiplied by a factor at each of some times.

    Args:
        value: at time 0.
        times: from each of them on there is one factor more.
        factor: of each step.
    """

    value: float
    times: tuple[float, ...]
    factor: float = 0.1

    def at(self, time):
        passed = tf.reduce_sum(tf.cast(time >= tf.constant(self.times, tf.float64), tf.float64))
        return self.value * tf.pow(tf.constant(self.factor, tf.float64), passed)


@register
@dataclasses.dataclass(eq=False)
class OneCycle(Schedule):
    """Linearly up, linearly back, and linearly on to the end (Smith and Topin, 2018; BNAS).

    Source: https://arxiv.org/abs/1708.07120, in the form of BNAS's released code.

    Args:
        start, peak, final: values at time 0, in the middle of the cycle and after the last part.
        cycle: time of rise and fall together, half of it each.
        duration: of everything.
    """

    start: float
    peak: float
    final: float
    cycle: float
    duration: float

    def at(self, time):
        height = 1 - tf.abs(2 * time / self.cycle - 1)
        rest = tf.clip_by_value((time - self.cycle) / max(self.duration - self.cycle, 1), 0, 1)
        after = self.start + (self.final - self.start) * rest
        return tf.where(time <= self.cycle, self.start + (self.peak - self.start) * height, after)


@register
@dataclasses.dataclass(eq=False)
class Warmup(Schedule):
    """A linear rise, and then another schedule, whose time starts where the rise ends.

    Args:
        start, peak: values at time 0 and at the end of the rise.
        duration: of the rise.
        then: what follows.
    """

    start: float
    peak: float
    duration: float
    then: Schedule

    def at(self, time):
        rise = self.start + (self.peak - self.start) * time / self.duration
        return tf.where(time < self.duration, rise, self.then.at(time - self.duration))


@register
@dataclasses.dataclass(eq=False)
class Tail(Schedule):
    """A schedule, and from some time on a constant value."""

    first: Schedule
    duration: float
    value: float

    def at(self, time):
        return tf.where(time < self.duration, self.first.at(time), self.value)


@register
@dataclasses.dataclass(eq=False)
class PerEpoch(Schedule):
    """A schedule of epochs, which changes between them only.

    Args:
        epochs: the schedule whose time is the number of complete epochs.
        steps: iterations of an epoch.
    """

    epochs: Schedule
    steps: int

    def at(self, time):
        return self.epochs.at(tf.floor(time / self.steps))


def of(recipe: Recipe, steps_per_epoch: int) -> Schedule:
    """The learning rate that a recipe means when an epoch has so many steps."""
    if recipe.schedule == "cosine_per_epoch":
        # timm's: its cosine is laid out over all epochs, but starts behind the warm-up, so that the
        # last epochs do not come to the final value (BNext's released code).
        cosine = Cosine(recipe.learning_rate, recipe.epochs, recipe.final_learning_rate)
        schedule: Schedule = PerEpoch(_warmed_up(recipe, cosine, 1), steps_per_epoch)
    elif recipe.schedule == "one_cycle":
        start, peak, final = recipe.warmup_learning_rate, recipe.learning_rate, recipe.final_learning_rate
        schedule = _one_cycle(recipe, steps_per_epoch, start, peak, final)
    else:
        schedule = _warmed_up(recipe, MAIN[recipe.schedule](recipe, steps_per_epoch), steps_per_epoch)
    if not recipe.tail_epochs:
        return schedule
    return Tail(schedule, recipe.epochs * steps_per_epoch, recipe.tail_learning_rate)


def momentum_of(recipe: Recipe, steps_per_epoch: int) -> float | Schedule | None:
    """The momentum that a recipe means: with one cycle it runs against the learning rate."""
    if recipe.momentum is None or recipe.cycle_momentum is None:
        return recipe.momentum
    start, peak = recipe.momentum, recipe.cycle_momentum
    return _one_cycle(recipe, steps_per_epoch, start, peak, start)


def _one_cycle(recipe: Recipe, steps: int, start: float, peak: float, final: float) -> OneCycle:
    all_steps = recipe.epochs * steps
    return OneCycle(start, peak, final, recipe.cycle_share * all_steps, all_steps)


def _warmed_up(recipe: Recipe, then: Schedule, steps: int) -> Schedule:
    duration = recipe.warmup_epochs * steps
    if not duration:
        return then
    return Warmup(recipe.warmup_learning_rate, recipe.learning_rate, duration, then)


def _cosine(recipe: Recipe, steps: int) -> Cosine:
    duration = (recipe.epochs - recipe.warmup_epochs) * steps
    return Cosine(recipe.learning_rate, duration, recipe.final_learning_rate)


def _cosine_restarts(recipe: Recipe, steps: int) -> CosineRestarts:
    duration = (recipe.restart_epochs or recipe.epochs) * steps
    return CosineRestarts(recipe.learning_rate, duration, recipe.final_learning_rate)


def _steps(recipe: Recipe, steps: int) -> Steps:
    times = tuple((milestone - recipe.warmup_epochs) * steps for milestone in recipe.milestones)
    return Steps(recipe.learning_rate, times, recipe.milestone_factor)


def _constant(recipe: Recipe, steps: int) -> Constant:
    return Constant(recipe.learning_rate)


# What follows the warm-up, by the recipe's name of the schedule.
MAIN = {"constant": _constant, "cosine": _cosine, "cosine_restarts": _cosine_restarts, "steps": _steps}
