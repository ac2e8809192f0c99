"""All checks of a converted file."""

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from bnn_keras import status
from bnn_keras.deploy import rewrite
from bnn_keras.deploy.conversion.taps import find_taps, tied_taps
from bnn_keras.deploy.exemptions import exempt
from bnn_keras.deploy.portable.kernels import CONV
from bnn_keras.deploy.rewrite.operations import Network
from bnn_keras.deploy.scores import scores
from bnn_keras.deploy.verification import binary, probes, storage, structure, sums
from bnn_keras.deploy.verification.comparison import Comparison, Tap
from bnn_keras.deploy.verification.regions import Regions
from bnn_keras.deploy.verification.report import OtherClass, Report
from bnn_keras.errors import UserError
from bnn_keras.nn.graph import Graph, read_graph
from bnn_keras.settings.quantization import NOTE as QUANTIZED
from bnn_keras.settings.runtime import BUILTIN
from bnn_keras.tflite.checking import check_tflite
from bnn_keras.tflite.flatbuffer import BCONV
from bnn_keras.tflite.images import as_input
from bnn_keras.tflite.interpreter import Interpreter
from bnn_keras.tflite.interpreter_process import LCE, LITERT, LITERT_PLAIN

STAGE_IMAGES = 2  # compared in float64, stage by stage; the predicted class is compared on all images
EXPLAINED = 8  # images of another class that are compared stage by stage as well


def verify(
    model: tf.keras.Model,
    flatbuffer: bytes,
    images: np.ndarray,
    unchecked: Sequence[str] = (),
    shows_progress: bool = False,
) -> Report:
    """Compare a file with the model that it was converted from.

    Args:
        model: the trained model. Progressive kernels must be signs
            (`bnn_keras.deploy.conversion.hardening`).
        flatbuffer: the bytes of the file, from `bnn_keras.deploy.convert`.
        images: float32 [n, height, width, channels], as the model takes them; real ones. If the file takes
            bytes, they are rounded to whole numbers for both.
        unchecked: the names of layers without a bound that are not compared, see `bnn_keras.convert`.
        shows_progress: print how many stages are compared.

    Returns:
        The report; the file is right if its `problems` are empty. An image of another class is no problem
        if it passes the comparison stage by stage: then rounding is the reason.

    Raises:
        UserError: `flatbuffer` is not a TFLite file or is damaged, no bound is known for a layer, or a layer
            cannot be left unchecked.

    Example:
        >>> import bnn_keras
        >>> from bnn_keras import deploy
        >>> network = bnn_keras.load("runs/small")
        >>> images, _ = next(network.dataset().test(20).as_numpy_iterator())
        >>> flatbuffer = deploy.to_flatbuffer(network.keras_model)
        >>> bnn_keras.verify(network.keras_model, flatbuffer, images).problems
        []
    """
    graph, file = read_graph(model), check_tflite(flatbuffer, "The file")
    if file.noted(QUANTIZED) is not None:
        raise UserError(
            "The file computes with int8, which no model does: bnn convert --quantize compared it with its "
            "float file, and that with the model."
        )
    exempted = exempt(graph, unchecked)
    # Which tensors of the model the file has, and how they are tied to them. If a rewrite or what the file
    # says of its form is wrong, a stage differs.
    options = rewrite.Options.from_json(file.noted(rewrite.NOTE))
    network, applied = rewrite.rewritten(graph, options)
    taps, indices = tied_taps(network, find_taps(graph, exempted)), file.tensors_by_name()
    tensors = {value: indices[name] for value, name in taps.items() if name in indices}
    regions = Regions(graph, file, {graph.inputs[0]: int(file.graph.inputs[0]), **tensors})
    problems = _changed_ends(graph, network) or structure.problems(regions, taps)
    if problems:
        return Report([], [], storage.Storage({}, len(flatbuffer), []), len(images), [], problems)
    images = as_input(images, file)
    kernels = (LITERT, LITERT_PLAIN) if options.runtime == BUILTIN else (LCE,)
    ours, theirs = scores(model, images.astype(np.float32)), _runs(flatbuffer, kernels[0]).predict(images)
    exceptions = _exceptions(ours, theirs)
    others = [item.image for item in exceptions[:EXPLAINED] if item.image >= STAGE_IMAGES]
    comparison = Comparison(regions, taps, exempted, network.ties)
    stage_images = np.concatenate([images[:STAGE_IMAGES], images[others]])
    compared = _worst(
        tap for one in kernels for tap in _compare(comparison, flatbuffer, stage_images, one, shows_progress)
    )
    form = CONV if options.runtime == BUILTIN else BCONV
    layers = binary.find(regions, comparison.meant, binary.turns_of(network), form)
    stored = storage.measure(regions, layers, len(flatbuffer), network.extra)
    counted = None
    if options.runtime == BUILTIN:
        counted = sums.count(file, [layer.index for layer in layers], images[:1], kernels)
    return Report(
        layers,
        compared,
        stored,
        len(images),
        exceptions,
        unchecked=list(unchecked),
        rewrites=applied,
        sums=counted,
    )


def _runs(flatbuffer: bytes, kernels: str) -> Interpreter:
    return Interpreter(flatbuffer, is_checked=True, kernels=kernels)


def _changed_ends(graph: Graph, network: Network) -> list[str]:
    """What a user gives and gets has to be what the model takes and returns, whatever is tied in between."""
    ends = (network.ties.get(value) for value in (*graph.inputs, *graph.outputs))
    kept = all(tie is not None and tie.is_identity for tie in ends)
    return [] if kept else ["a rewrite changed what the file takes or returns"]


def _compare(
    comparison: Comparison, flatbuffer: bytes, images: np.ndarray, kernels: str, shows_progress: bool
) -> list[Tap]:
    """Compare every tap on images, then on probes."""
    regions = comparison.regions
    indices = sorted(set(regions.tensors.values()))
    returning = _runs(regions.file.returning(indices), kernels)
    seen = dict(zip(indices, returning.predict_all([images]), strict=True))
    probed = probes.stages(regions)
    numbers = [comparison.number_of(taps) for taps in (set(indices), *(taps for _, taps in probed))]
    total = sum(numbers)
    if shows_progress:
        comparison.steps = status.counted(range(total), total, "verifying, stages")
    found = comparison.on_images(seen)
    for number, stages in probed:
        found += comparison.on_probes(*probes.run_stages(flatbuffer, regions, seen, number, stages, kernels))
    if shows_progress:
        status.clear()
    return found


def _worst(found: Iterable[Tap]) -> list[Tap]:
    """Of each tap the worst comparison."""
    worst: dict[str, Tap] = {}
    for tap in found:
        worst[tap.name] = max(worst.get(tap.name, tap), tap, key=lambda tap: (tap.problem != "", tap.ratio))
    return list(worst.values())


def _exceptions(model_scores: np.ndarray, file_scores: np.ndarray) -> list[OtherClass]:
    if model_scores.ndim != 2:
        return []  # a model without a classifier
    ours, theirs = model_scores.argmax(-1), file_scores.argmax(-1)
    return [
        OtherClass(
            int(i), int(ours[i]), int(theirs[i]), float(model_scores[i, ours[i]] - model_scores[i, theirs[i]])
        )
        for i in np.flatnonzero(ours != theirs)
    ]
