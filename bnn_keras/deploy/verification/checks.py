"""Whether a .tflite computes what its model computes.

The file's own values at every tap are put into the float64 model behind it, up to the next tap, and
what comes out there is compared with the file's: every stage gets the input that it had. So each
difference is that of one stage, and no sign that fell otherwise upstream can hide it. Allowed is
what rounding in float32 can explain (`bnn_keras.deploy.verification.intervals`), nothing else.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.conversion import lowering as conversion
from bnn_keras.deploy.conversion.hardening import Hardening
from bnn_keras.deploy.verification import binary
from bnn_keras.deploy.verification.constants import Constants, count
from bnn_keras.deploy.verification.intervals import Ball, Layer64, input_of
from bnn_keras.errors import UserError
from bnn_keras.nn import graph as graphs
from bnn_keras.tflite.flatbuffer import BCONV, Flatbuffer
from bnn_keras.tflite.interpreter import run

# With a radius above this share of a tensor's spread a value is left open.
DECIDED = 1e-2
STAGE_IMAGES = 3  # compared in float64, stage by stage; the predicted class is compared on all
SMALLEST = 1e-30  # keeps quotients finite
EXPLAINED = 8  # images of another class that are compared stage by stage as well


@dataclasses.dataclass(frozen=True)
class Tap:
    """How one tensor came out.

    Args:
        name: of the layer that gives it.
        difference: the largest between file and model.
        ratio: the largest of difference / tolerance; above 1 the file is wrong.
        undecided: the share of elements that rounding leaves open, most of them for a sign near 0.
        problem: in words; "" if none.
    """

    name: str
    difference: float
    ratio: float
    undecided: float
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class OtherClass:
    """An image whose class differs, and the margin by which the model preferred its own."""

    image: int
    model_class: int
    file_class: int
    margin: float


@dataclasses.dataclass(frozen=True)
class Report:
    """What was compared, and how it came out."""

    layers: list[binary.BinaryLayer]
    taps: list[Tap]
    constants: Constants
    images: int
    exceptions: list[OtherClass]
    hardening: Hardening | None = None

    @property
    def problems(self) -> list[str]:
        """What is wrong with the file, a sentence each."""
        layers = [f"{layer.name}: {layer.problem}" for layer in self.layers if layer.problem]
        taps = [f"{tap.name}: {tap.problem}" for tap in self.taps if tap.problem]
        return [*layers, *taps, *([self.constants.problem] if self.constants.problem else [])]


def verify(model: tf.keras.Model, flatbuffer: bytes, images: np.ndarray) -> Report:
    """Compare a file with the model that it was converted from.

    Args:
        model: the untouched training model; one with progressive kernels behind their hard sign
            (`bnn_keras.deploy.conversion.hardening`).
        flatbuffer: bytes that `bnn_keras.deploy.convert` made of it.
        images: float32 [n, height, width, channels], as the model takes them; real ones.

    Returns:
        The report; the file is as good as its `problems` are none. A class that differs is no
        problem as long as the image passes stage by stage: then rounding did it.

    Raises:
        UserError: it is no TFLite file, or a layer is of a kind that cannot be checked.
    """
    graph, file = graphs.of(model), Flatbuffer(flatbuffer)
    model_scores = model.predict(images, batch_size=32, verbose=0)
    file_scores = run(flatbuffer, images)
    exceptions = _other_classes(model_scores, file_scores)
    others = [item.image for item in exceptions[:EXPLAINED] if item.image >= STAGE_IMAGES]
    noise = np.random.default_rng(0).uniform(0, 255, (1, *images.shape[1:]))
    probes = np.concatenate([images[:STAGE_IMAGES], images[others], noise]).astype(np.float32)
    comparison = _Comparison(graph, file, probes)
    return Report(
        layers=binary.find(graph, comparison.meant, file),
        taps=comparison.taps,
        constants=count(model, graph, file, len(flatbuffer)),
        images=len(images),
        exceptions=exceptions,
    )


def _other_classes(model_scores: np.ndarray, file_scores: np.ndarray) -> list[OtherClass]:
    if model_scores.ndim != 2:
        return []  # a model without a classifier
    ours, theirs = model_scores.argmax(-1), file_scores.argmax(-1)
    return [
        OtherClass(
            int(i), int(ours[i]), int(theirs[i]), float(model_scores[i, ours[i]] - model_scores[i, theirs[i]])
        )
        for i in np.flatnonzero(ours != theirs)
    ]


class _Comparison:
    """The walk through the model in float64, from tap to tap."""

    def __init__(self, graph: graphs.Graph, file: Flatbuffer, images: np.ndarray):
        self.graph = graph
        self.taps: list[Tap] = []
        self.meant: dict[graphs.Call, bool] = {}
        self._layers: dict[int, Layer64] = {}
        self._since: list[graphs.Call] = []
        self._names = conversion.taps(graph) | {graph.outputs[0]: conversion.OUTPUT}
        self._file = self._values_of(file, images)
        graphs.run(graph, {graph.inputs[0]: Ball.exact(images)}, self._compute)

    def _values_of(self, file: Flatbuffer, images: np.ndarray) -> dict[str, np.ndarray]:
        indices = file.indices()
        present = [name for name in self._names.values() if name in indices]
        values = run(file.returning([indices[name] for name in present]), images)
        return dict(zip(present, values if len(present) > 1 else [values], strict=True))

    def _compute(self, call: graphs.Call, fill) -> tuple[Ball, ...]:
        if id(call.layer) not in self._layers:
            self._layers[id(call.layer)] = Layer64(call.layer)
        layer = self._layers[id(call.layer)]
        args, kwargs = fill(call.args), fill(call.kwargs)
        self._note_signs(call, layer, args)
        self._since.append(call)
        outputs = layer(args, kwargs)
        return tuple(map(self._compare, call.outputs, outputs))

    def _note_signs(self, call: graphs.Call, layer: Layer64, args) -> None:
        first = tf.nest.flatten(args)[0]
        if isinstance(first, Ball) and hasattr(call.layer, "kernel_constraint"):
            used = input_of(layer.twin, first.center).numpy()
            if binary.is_meant(call, used):
                self.meant[call] = bool((used == 0).any())

    def _compare(self, value: graphs.Value, ball: Ball) -> Ball:
        name = self._names.get(value)
        if name is None:
            return ball
        if name not in self._file:
            self.taps.append(
                Tap(name, np.inf, np.inf, 1.0, "the file has no such tensor: it is another model's")
            )
            return ball
        theirs = self._file[name]
        self.taps.append(_tap(name, theirs, ball, _known_trap(self.graph, self._since)))
        self._since = []
        return Ball.exact(theirs)


def _tap(name: str, theirs: np.ndarray, ball: Ball, trap: str) -> Tap:
    ours, radius = ball.center.numpy(), ball.radius.numpy()
    if theirs.shape != ours.shape:
        return Tap(name, np.inf, np.inf, 1.0, f"the file gives {theirs.shape}, the model {ours.shape}")
    difference = np.abs(theirs.astype(np.float64) - ours)
    difference[~np.isfinite(difference)] = np.inf
    ratio = difference / np.maximum(radius, SMALLEST)
    ratio[~np.isfinite(ratio)] = np.inf  # a model of NaNs has no function to keep
    undecided = radius > DECIDED * max(ours.std(), np.abs(ours).mean(), SMALLEST)
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


def _known_trap(graph: graphs.Graph, calls: Sequence[graphs.Call]) -> str:
    """The converter's known mistake, where the stage has what brings it about."""
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


def lines(report: Report) -> list[str]:
    """The report for a person."""
    binary_layers = [layer for layer in report.layers if layer.index is not None and not layer.problem]
    worst = max(report.taps, key=lambda tap: tap.ratio)
    sizes = report.constants
    found = [
        *([report.hardening.sentence] if report.hardening else []),
        f"binary: {len(binary_layers)} of {len(report.layers)} binary layers are {BCONV}, bit by bit",
        f"same function: {len(report.taps)} tensors, each stage fed the file's own input, differ by at most "
        f"{worst.ratio:.2f} of what rounding explains ({worst.name}); "
        f"{np.mean([tap.undecided for tap in report.taps]):.2%} of the values are left open by rounding",
        f"same class: {report.images - len(report.exceptions)} of {report.images} images",
        *map(_other, report.exceptions),
        f"size: {sizes.stored:,} bytes of weights, {sizes.deviation:+.2%} of what is accounted for; "
        f"{sizes.metadata:,} bytes of names and structure",
    ]
    return found


def _other(item: OtherClass) -> str:
    return (
        f"  image {item.image}: class {item.file_class} in place of {item.model_class}, by {item.margin:.2g}"
    )


def require(report: Report, name: str) -> None:
    """Refuse a file that has problems.

    Raises:
        UserError: with every problem, the first ones in full.
    """
    if report.problems:
        shown = report.problems[:SHOWN]
        more = f"; and {len(report.problems) - len(shown)} more" if len(report.problems) > len(shown) else ""
        raise UserError(f"{name} is refused, nothing was written: {'; '.join(shown)}{more}.")


SHOWN = 12
