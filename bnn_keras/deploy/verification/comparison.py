"""Whether a .tflite computes what its model computes.

The walk goes through the model in float64. At every tap the values of the file take the place of the
model's, and the outputs at the next tap are compared with the file's there: every stage gets the input
that it had in the file. So each difference is that of one stage, and no sign that fell otherwise in an
earlier stage can hide it. A difference is allowed as far as rounding in float32 explains it
(`bnn_keras.nn.intervals`), and no further.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.verification import binary
from bnn_keras.deploy.verification.layer64 import Layer64
from bnn_keras.nn.binary import input_of
from bnn_keras.nn.graph import Call, Graph, Value, run_graph
from bnn_keras.nn.intervals import Interval
from bnn_keras.tflite.flatbuffer import Flatbuffer
from bnn_keras.tflite.interpreter import run

# After an open sign, a value is undecided if its radius is above this share of the tensor's spread.
DECIDED = 1e-2
SMALLEST = 1e-30  # keeps quotients finite


@dataclasses.dataclass(frozen=True)
class Tap:
    """The comparison of one tensor.

    Args:
        name: of the layer that computes it.
        difference: the largest one between file and model.
        ratio: the largest difference / tolerance; above 1 the file is wrong.
        undecided: the share of elements that rounding leaves open, mostly for a sign near 0.
        problem: in words; "" if there is none.
    """

    name: str
    difference: float
    ratio: float
    undecided: float
    problem: str = ""


class Comparison:
    """The walk through the model, from tap to tap.

    Args:
        graph: of the model.
        file: that was converted from it.
        taps: their names.
        images: float32 [n, height, width, channels].
    """

    def __init__(self, graph: Graph, file: Flatbuffer, taps: Mapping[Value, str], images: np.ndarray) -> None:
        self.graph = graph
        self.taps: list[Tap] = []
        # The calls that are meant to be binary, each with whether its input contains zeros.
        self.meant: dict[Call, bool] = {}
        self._layers: dict[int, Layer64] = {}
        # Since the last tap: the calls, and whether the input of a sign was too near to 0 to decide it.
        self._since: list[Call] = []
        self._is_open = False
        self._names = taps
        indices = file.tensors_by_name()
        self.tensors = {value: indices[name] for value, name in taps.items() if name in indices}
        self._values = _values_of(file, sorted(set(self.tensors.values())), images)
        run_graph(graph, {graph.inputs[0]: Interval.exact(images)}, self._compute)

    def _compute(self, call: Call, fill: Callable[[Any], Any]) -> tuple[Interval, ...]:
        if id(call.layer) not in self._layers:
            self._layers[id(call.layer)] = Layer64(call.layer)
        layer = self._layers[id(call.layer)]
        args, kwargs = fill(call.args), fill(call.kwargs)
        self._note_signs(call, layer, args)
        self._is_open |= layer.has_open_signs(args)
        self._since.append(call)
        return tuple(map(self._compare, call.outputs, layer(args, kwargs)))

    def _note_signs(self, call: Call, layer: Layer64, args: Any) -> None:
        first = tf.nest.flatten(args)[0]
        if isinstance(first, Interval) and hasattr(call.layer, "kernel_constraint"):
            used = input_of(layer.twin, first.center).numpy()
            if binary.is_meant(call, used):
                self.meant[call] = bool((used == 0).any())

    def _compare(self, value: Value, model: Interval) -> Interval:
        if value not in self._names:
            return model
        name = self._names[value]
        if value not in self.tensors:
            self.taps.append(
                Tap(name, np.inf, np.inf, 1.0, "the file has no such tensor: it is another model's")
            )
            return model
        theirs = self._values[self.tensors[value]]
        self.taps.append(_tap(name, theirs, model, self._is_open, _known_trap(self.graph, self._since)))
        self._since, self._is_open = [], False
        return Interval.exact(theirs)


def _values_of(file: Flatbuffer, tensors: list[int], images: np.ndarray) -> dict[int, np.ndarray]:
    values = run(file.returning(tensors), images)
    return dict(zip(tensors, values if len(tensors) > 1 else [values], strict=True))


def _tap(name: str, theirs: np.ndarray, model: Interval, is_open: bool, trap: str) -> Tap:
    ours, radius = model.center.numpy(), model.radius.numpy()
    if theirs.shape != ours.shape:
        return Tap(name, np.inf, np.inf, 1.0, f"the file gives {theirs.shape}, the model {ours.shape}")
    difference = np.abs(theirs.astype(np.float64) - ours)
    difference[~np.isfinite(difference)] = np.inf
    ratio = difference / np.maximum(radius, SMALLEST)
    ratio[~np.isfinite(ratio)] = np.inf  # a model of NaNs has no function to keep
    # Without an open sign the radius is that of rounding alone, also where all values are 0.
    undecided = is_open & (radius > DECIDED * max(ours.std(), np.abs(ours).mean(), SMALLEST))
    return Tap(
        name,
        float(difference.max()),
        float(ratio.max()),
        float(undecided.mean()),
        _problem(difference, ratio, undecided, trap),
    )


def _problem(difference: np.ndarray, ratio: np.ndarray, undecided: np.ndarray, trap: str) -> str:
    if ratio.max() > 1:
        worst = np.unravel_index(ratio.argmax(), ratio.shape)
        place = ", ".join(map(str, map(int, worst[1:])))
        return (
            f"the file differs from the model by up to {difference.max():.3g}, {ratio.max():.3g} times what "
            f"rounding explains (worst at [{place}], {np.mean(ratio > 1):.2%} of the values are off){trap}"
        )
    blind = undecided.reshape(-1, undecided.shape[-1]).all(0)
    if blind.any():
        return (
            f"cannot be checked: in {blind.sum()} of {blind.size} channels rounding leaves every value open "
            f"(signs that could fall either way)"
        )
    return ""


def _known_trap(graph: Graph, calls: Sequence[Call]) -> str:
    """The converter's known mistake in words, if the stage has the layers for it."""
    for call in calls:
        before = graph.producer(call.inputs[0]) if call.inputs else None
        if before is None or max(getattr(call.layer, "strides", None) or (1,)) < 2:
            continue
        if type(before.layer).__name__ == "ZeroPadding2D" or before.layer.name.startswith(
            ("tf.pad", "tf.compat.v1.pad")
        ):
            return (
                f"; {before.path} pads before the strided {call.path}, which LCE fuses into another padding: "
                f"use padding='same'"
            )
    return ""
