"""Interleaved timing: what is compared takes turns, so that a busy machine slows all of it alike."""

import dataclasses
import operator
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping

import tensorflow as tf
from absl import flags

WARM_UP = 3  # steps of a network; the first one traces


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of every call.

    Args:
        seconds: by name, the baseline first, one number a round.
        again: of the baseline's second call in each round: the same against itself.
    """

    seconds: Mapping[str, tuple[float, ...]]
    again: tuple[float, ...]

    @property
    def baseline(self) -> str:
        """The name that the others are compared with."""
        return next(iter(self.seconds))

    def median(self, name: str) -> float:
        """Seconds of a call."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, *parts: str) -> float:
        """The median of its times over those of the same round: a machine's speed may change meanwhile.

        Args:
            name: of a call.
            parts: what it is compared with, one after the other; the baseline if none.
        """
        return self._ratio(self.seconds[name], parts or (self.baseline,))

    @property
    def aa_ratio(self) -> float:
        """The baseline over itself: a difference that is not larger than this one's from 1 is none."""
        return self._ratio(self.again, (self.baseline,))

    def _ratio(self, seconds: tuple[float, ...], parts: tuple[str, ...]) -> float:
        wholes = map(sum, zip(*(self.seconds[part] for part in parts), strict=True))
        return statistics.median(map(operator.truediv, seconds, wholes))


def interleaved(functions: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 0) -> Timing:
    """Call every function `repeats` times in turns; the first one is the baseline and is called twice a turn.

    The turn starts one place further each time, so that nobody always follows the same neighbour.

    Args:
        functions: by name.
        repeats: turns, at least 1.
        warm_up: calls of each beforehand that are not counted.
    """
    for function in functions.values():
        for _ in range(warm_up):
            function()
    turns = [*functions.items(), (None, next(iter(functions.values())))]
    seconds: dict[str | None, list[float]] = {name: [] for name, _ in turns}
    for turn in range(repeats):
        first = turn % len(turns)
        for name, function in turns[first:] + turns[:first]:
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return Timing({name: tuple(seconds[name]) for name in functions}, tuple(seconds[None]))


def step_flags(model: str | None = None) -> flags.FlagValues:
    """The flags of a benchmark of training steps.

    Args:
        model: default of --model; None for a benchmark of one network.
    """
    values = flags.FlagValues()
    if model is not None:
        flags.DEFINE_string("model", model, "network of the zoo", flag_values=values)
    for name, default, meaning in (
        ("image_size", 64, "edge in pixels"),
        ("batch_size", 32, "images a step"),
        ("repeats", 200, "steps of each, in turns"),
    ):
        flags.DEFINE_integer(name, default, meaning, flag_values=values, lower_bound=1)
    return values


def print_ratios(times: Timing) -> None:
    """Print every median with its ratio to the first, and where it was measured."""
    for name in times.seconds:
        print(f"{name}: {1000 * times.median(name):.1f} ms, {times.ratio(name):.3f} of the first")
    print(f"A/A ratio of the first: {times.aa_ratio:.3f}")
    print(machine())


def machine() -> str:
    """One line: where the numbers were measured."""
    processor = platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, TensorFlow {tf.__version__}"
