"""Interleaved timing: what is compared takes turns, so that a busy machine slows all of it alike."""

import dataclasses
import importlib.metadata
import math
import operator
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from bnn_keras.cli.flags import COUNT, Flag
from bnn_keras.settings.kinds import Text

WARM_UP = 3  # steps of a network; the first one traces


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of every call.

    Args:
        seconds: by name, the baseline first, one number for each round.
        again: of the baseline's second call in each round.
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

    def quantile(self, name: str, share: float) -> float:
        """The seconds that a share of the calls do not exceed."""
        ordered = sorted(self.seconds[name])
        return ordered[math.ceil(share * len(ordered)) - 1]

    def ratio(self, name: str, *parts: str) -> float:
        """The median, over the rounds, of its time over that of others in the same round.

        Args:
            name: of a call.
            parts: the others, whose times are added; the baseline if none are given.
        """
        return self._ratio(self.seconds[name], parts or (self.baseline,))

    @property
    def aa_ratio(self) -> float:
        """The baseline over itself. A ratio that is no further from 1 than this one shows no difference."""
        return self._ratio(self.again, (self.baseline,))

    def _ratio(self, seconds: tuple[float, ...], parts: tuple[str, ...]) -> float:
        wholes = map(sum, zip(*(self.seconds[part] for part in parts), strict=True))
        return statistics.median(map(operator.truediv, seconds, wholes))


def interleaved(
    functions: Mapping[str, Callable[[], Any]], repeats: int, warm_up: int = 0, timed: bool = False
) -> Timing:
    """Call every function `repeats` times in turns, and the first one, the baseline, twice as often.

    Each turn starts one place further, so that no function always follows the same other one.

    Args:
        functions: by name.
        repeats: number of turns, at least 1.
        warm_up: calls of each beforehand, which are not counted.
        timed: the functions return the seconds that they took.
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
            result = function()
            seconds[name].append(result if timed else time.perf_counter() - start)
    return Timing({name: tuple(seconds[name]) for name in functions}, tuple(seconds[None]))


def step_flags(model: str | None = None) -> list[Flag]:
    """The flags of a benchmark of training steps.

    Args:
        model: default of --model; None for a benchmark of one network.
    """
    sizes = [
        Flag("image_size", COUNT, "edge in pixels", 64),
        Flag("batch_size", COUNT, "images in a step", 32),
        Flag("repeats", COUNT, "steps of each, in turns", 200),
    ]
    return sizes if model is None else [Flag("model", Text("a name of the zoo"), "network", model), *sizes]


def print_ratios(times: Timing) -> None:
    """Print every median with its ratio to the first, and where it was measured."""
    for name in times.seconds:
        print(f"{name}: {1000 * times.median(name):.1f} ms, {times.ratio(name):.3f} of the first")
    print(f"A/A ratio of the first: {times.aa_ratio:.3f}")
    print(machine())


def is_x86() -> bool:
    """Whether this computer's processor is an x86 one of 64 bits."""
    return platform.machine().lower() in ("x86_64", "amd64")


def machine() -> str:
    """One line: where the numbers were measured."""
    processor = platform.processor() or platform.machine()
    version = importlib.metadata.version("tensorflow")
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, TensorFlow {version}"
