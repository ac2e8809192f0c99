"""Whether a .tflite computes what its model computes.

The model is computed in float64, stage by stage: each from the values that the operations of the file took
from taps, to the next tap, where the outputs are compared with the file's. So each difference is that of one
stage, and no sign that fell otherwise in an earlier stage can hide it. A difference is allowed as far as
rounding in float32 explains it (`bnn_keras.nn.intervals`), and no further. The values are those of images,
or random ones (`probes`).
"""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.exemptions import needless
from bnn_keras.deploy.rewrite.operations import Tie
from bnn_keras.deploy.verification import binary
from bnn_keras.deploy.verification.layer64 import Layer64
from bnn_keras.deploy.verification.means import Means, is_mean
from bnn_keras.deploy.verification.regions import Regions
from bnn_keras.nn.binary import input_of
from bnn_keras.nn.bounds import UnknownBoundError
from bnn_keras.nn.graph import Call, Graph, Value, run_graph
from bnn_keras.nn.intervals import SPARE, UNIT, Interval

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
    """The model in float64 beside its file.

    Args:
        regions: of the model and its file.
        names: of the taps.
        exempted: calls without a bound whose outputs are not compared.
        ties: how the tensors at the taps follow from those of the file; the same where not given.

    Attributes:
        meant: the calls that are meant to be binary, each with whether its input contains zeros for images.
        steps: asked for the next item at each tap that is compared.
    """

    def __init__(
        self,
        regions: Regions,
        names: Mapping[Value, str],
        exempted: Collection[Call] = (),
        ties: Mapping[Value, Tie] | None = None,
    ) -> None:
        self.regions = regions
        self.meant: dict[Call, bool] = {}
        self.steps: Iterator[int] = itertools.repeat(0)
        self._names, self._exempted, self._ties = names, exempted, ties or {}
        self._layers: dict[int, Layer64] = {}
        self._means = Means(regions.graph)
        self._producers = {value: call for call in regions.graph.calls for value in call.outputs}

    def on_images(self, values: Mapping[int, np.ndarray]) -> list[Tap]:
        """Compare the tensors at all taps.

        Args:
            values: of the file for images, [n, ...] by tensor.
        """
        return self._compare(values, values, self._note_signs)

    def on_probes(self, given: Mapping[int, np.ndarray], computed: Mapping[int, np.ndarray]) -> list[Tap]:
        """Compare what the stages of a file compute by themselves.

        Args:
            given: the values that the stages took, [n, ...] by tensor.
            computed: the values that they gave; only these taps are compared.
        """
        return self._compare(given, computed, lambda call, args: None)

    def _compare(
        self,
        given: Mapping[int, np.ndarray],
        computed: Mapping[int, np.ndarray],
        note: Callable[[Call, Any], None],
    ) -> list[Tap]:
        taps = []
        for value in self._names:
            tensor = self.regions.tensors[value]
            if tensor in computed:
                next(self.steps)
            if self._is_exempt(value, given):
                continue
            if self._is_same_tensor(value):
                if tensor in given:
                    taps.append(self._compare_stage(value, {tensor}, given, given[tensor], note))
            elif tensor in computed:
                sources = self.regions.taken_for(tensor)
                taps.append(self._compare_stage(value, sources, given, computed[tensor], note))
        return taps

    def number_of(self, tensors: Collection[int]) -> int:
        """The number of taps among tensors of the file."""
        return sum(self.regions.tensors[value] in tensors for value in self._names)

    def _is_exempt(self, value: Value, given: Mapping[int, np.ndarray]) -> bool:
        """Whether a tap is not compared; UserError if it could be."""
        call = self._producers.get(value)
        if call is None or call not in self._exempted:
            return False
        taken = {one: given.get(self.regions.tensors[one]) for one in call.inputs}
        if all(values is not None for values in taken.values()):
            try:
                intervals = {one: Interval.exact(values) for one, values in taken.items()}
                run_graph(Graph((call,), call.inputs, call.outputs), intervals, self._compute)
            except UnknownBoundError:
                return True
            raise needless(call)
        return True

    def _compute(self, call: Call, fill: Callable[[Any], Any]) -> Any:
        return self._layer(call)(fill(call.args), fill(call.kwargs))

    def _is_same_tensor(self, value: Value) -> bool:
        """Whether the layers since the last taps compute nothing in the file."""
        tensors = self.regions.tensors
        _, feed = self._stage(value, set(tensors.values()))
        return tensors[value] in {tensors[source] for source in feed.values()}

    def _stage(self, value: Value, sources: set[int]) -> tuple[list[Call], dict[Value, Value]]:
        """The calls that compute a value from taps, and the values that they take, each with its tap.

        A tap is the value itself, or its mean where the file computes with means alone.
        """
        tensors = self.regions.tensors
        calls, averaged = set[Call](), set[Call]()
        feed: dict[Value, Value] = {}
        left = [value]
        while left:
            one = left.pop()
            call = self._producers.get(one)
            if one is not value and tensors.get(one) in sources:
                feed[one] = one
            elif call is None:
                feed[one] = one  # the image
            elif call not in calls:
                calls.add(call)
                known = None
                if is_mean(call) and tensors.get(call.inputs[0]) not in sources:
                    known = self._means.walk(call.inputs[0], lambda mean: tensors.get(mean) in sources)
                if known is None:
                    left += call.inputs
                else:
                    averaged |= known[0]
                    feed.update(known[1])
                    left += known[2]
        # A feature map has one size in a stage.
        calls = (calls | averaged) if calls.isdisjoint(averaged) else calls
        return [call for call in self.regions.graph.calls if call in calls], feed

    def _compare_stage(
        self,
        value: Value,
        sources: set[int],
        given: Mapping[int, np.ndarray],
        theirs: np.ndarray,
        note: Callable[[Call, Any], None],
    ) -> Tap:
        tensors = self.regions.tensors
        calls, feed = self._stage(value, sources)
        if {tensors[one] for one in feed.values()} != sources:
            problem = "the operations of the file take other tensors here than the layers do"
            return Tap(self._names[value], np.inf, np.inf, 1.0, problem)
        taken = {one: self._tied(tap, given[tensors[tap]]) for one, tap in feed.items()}
        is_open = False

        def compute(call: Call, fill: Callable[[Any], Any]) -> Any:
            nonlocal is_open
            layer, args = self._layer(call), fill(call.args)
            note(call, args)
            is_open |= layer.has_open_signs(args)
            outputs = zip(call.outputs, layer(args, fill(call.kwargs)), strict=True)
            return [taken.get(one, computed) for one, computed in outputs]

        found = run_graph(Graph(tuple(calls), tuple(feed), (value,)), taken, compute)[value]
        trap = _known_trap(self.regions.graph, calls)
        return _tap(self._names[value], self._tied(value, theirs), found, is_open, trap)

    def _tied(self, value: Value, values: np.ndarray) -> Interval:
        """A tensor of the model that follows from one of the file.

        Its constants, scale and shift, were folded into those of the operations around it. Each of these is
        stored in float32, and each sum with one is rounded, at most `SPARE` times at the size of the
        constant.
        """
        tie = self._ties.get(value)
        if tie is None or tie.is_identity:
            return Interval.exact(values)
        center = tf.constant(np.float64(values) * tie.scale + tie.shift)
        scaled = np.where(tie.scale == 1, 0.0, np.abs(np.float64(values) * tie.scale))
        return Interval(center, tf.constant(SPARE * UNIT * (scaled + np.abs(tie.shift))))

    def _layer(self, call: Call) -> Layer64:
        if id(call.layer) not in self._layers:
            self._layers[id(call.layer)] = Layer64(call.layer)
        return self._layers[id(call.layer)]

    def _note_signs(self, call: Call, args: Any) -> None:
        first = tf.nest.flatten(args)[0]
        if isinstance(first, Interval) and hasattr(call.layer, "kernel_constraint"):
            used = input_of(self._layer(call).twin, first.center).numpy()
            if binary.is_meant(call, used):
                self.meant[call] = bool((used == 0).any())


@np.errstate(invalid="ignore")  # values that are not finite have an infinite difference
def _tap(name: str, file: Interval, model: Interval, is_open: bool, trap: str) -> Tap:
    ours, theirs = model.center.numpy(), file.center.numpy()
    if theirs.shape != ours.shape:
        return Tap(name, np.inf, np.inf, 1.0, f"the file gives {theirs.shape}, the model {ours.shape}")
    radius = model.radius.numpy() + file.radius.numpy()
    difference = np.abs(theirs - ours)
    difference[~np.isfinite(difference)] = np.inf
    ratio = difference / np.maximum(radius, SMALLEST)
    # A model of NaNs has no function to keep; without a bound, nothing is known of a value.
    ratio[~(np.isfinite(ratio) & np.isfinite(radius))] = np.inf
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
