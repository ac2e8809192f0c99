"""A converted file with its 32-bit layers in 8 bits, checked against the float file."""

from collections.abc import Collection, Mapping

import numpy as np
import tensorflow as tf

from bnn_keras.accounting import cost
from bnn_keras.deploy.quantize import calibration, forms, stages
from bnn_keras.deploy.quantize.chains import Chains
from bnn_keras.deploy.quantize.equalization import equalizations
from bnn_keras.deploy.quantize.pairing import Pairing
from bnn_keras.deploy.quantize.result import Quantized
from bnn_keras.deploy.verification import sums
from bnn_keras.deploy.verification.report import SHOWN, Report
from bnn_keras.deploy.verification.sums import Sums
from bnn_keras.errors import UserError
from bnn_keras.nn.graph import read_graph
from bnn_keras.nn.parts import BRANCH, PARTS, Place, find_parts
from bnn_keras.settings.quantization import BRANCH_BITS, NOTE, Plan
from bnn_keras.settings.runtime import BUILTIN, LCE
from bnn_keras.tflite.flatbuffer import Flatbuffer
from bnn_keras.tflite.int8 import Editor
from bnn_keras.tflite.interpreter import Interpreter, kernels_of

STAGE_IMAGES = 2  # whose values are compared operation by operation
OF_SCALE = 4  # bytes; each output channel of a kernel in integers has one, and each one that is equalized


def plan_of(parts: Collection[str], branch_bits: str | None = None) -> Plan:
    """The bits of a file: 8/8, and those of the branches.

    Args:
        parts: that the network has, of `bnn_keras.nn.parts.PARTS`.
        branch_bits: one of `BRANCH_BITS`; None is 4/8, as in BNext's Table 1.

    Raises:
        UserError: bits for branches that the network does not have.
    """
    if branch_bits is not None and BRANCH not in parts:
        has = ", ".join(part for part in PARTS if part in parts) or "none"
        raise UserError(
            f"--branch_bits: the network has no squeeze-and-expand branches; its 32-bit parts are: {has}."
        )
    bits = {BRANCH: branch_bits or BRANCH_BITS[0]}
    return Plan({part: bits.get(part, "8/8") for part in PARTS if part in parts})


def check_branch_bits(model: tf.keras.Model, branch_bits: str | None) -> None:
    """Refuse bits for branches that a model does not have.

    Raises:
        UserError: it has none.
    """
    plan_of({place.part for place in find_parts(read_graph(model)).values()}, branch_bits)


def quantize(
    model: tf.keras.Model,
    flatbuffer: bytes,
    report: Report,
    images: np.ndarray,
    labels: np.ndarray | None,
    calibration_images: np.ndarray,
    branch_bits: str | None = None,
    runtime: str = LCE,
) -> tuple[bytes, Quantized]:
    """Turn the 32-bit layers of a converted file into integers.

    Args:
        model: that was converted.
        flatbuffer, report: of `bnn_keras.convert`, in float and compared with the model.
        images: float32 [n, height, width, channels], on which both files are compared.
        labels: [n], their classes; or None.
        calibration_images: float32 [n, height, width, channels], which the ranges of activations come from.
        branch_bits: of squeeze-and-expand branches, see `plan_of`.
        runtime: that the file will run on: it decides what is cheaper in integers.

    Returns:
        The bytes of the file, and what integers change.

    Raises:
        UserError: no calibration images, or of another size; bits that do not fit; or the file failed a
            check.
    """
    calibration.check_images(calibration_images, model.input_shape)
    places = {call.path: place for call, place in find_parts(read_graph(model)).items()}
    plan = plan_of({place.part for place in places.values()}, branch_bits)
    floats = Flatbuffer(flatbuffer)
    binary = {layer.name for layer in report.layers}
    chains = Chains(floats, {n for n, layer in report.storage.kernels.items() if layer in binary})
    if not chains.kernels:
        raise UserError(f"{model.name} has no 32-bit convolutions or dense layers to turn into int8.")
    bits = _bits(report, chains, plan, places)
    activations = chains.activations(number for chain in chains.chains for number in chain)
    ranges = calibration.ranges(flatbuffer, activations, calibration_images)
    scales, equalized = forms.scales_of(chains, ranges), equalizations(chains, ranges)
    chosen = forms.choose(flatbuffer, chains, scales, equalized, bits, runtime)
    file = Flatbuffer(flatbuffer)
    editor = Editor(file, scales, equalized)
    editor.apply(chosen.integer, chosen.weights_only)
    file.note(NOTE, str(plan).encode())
    content = file.pack()
    found, problems = stages.compare(content, floats, images[:STAGE_IMAGES], report.storage.kernels)
    counted = None if report.sums is None else _sums(content, floats, report, images)
    if counted is not None and counted.wrong:
        problems.append(counted.problem)
    if problems:
        raise UserError(f"{model.name} is refused, nothing was written: {'; '.join(problems[:SHOWN])}.")
    ours, theirs = (Interpreter(each, is_checked=True).predict(images) for each in (content, flatbuffer))
    saved = sum(
        4 * kernel.integers.size - len(kernel.packed) - OF_SCALE * len(kernel.scales)
        for kernel in editor.kernels.values()
    )
    saved -= sum(OF_SCALE * len(equalized[number].factors) for number in editor.equalized)
    return content, Quantized(
        plan=plan,
        calibration_images=len(calibration_images),
        stages=found,
        images=len(images),
        other_class=int((ours.argmax(-1) != theirs.argmax(-1)).sum()) if ours.ndim == 2 else 0,
        accuracy=_accuracy(ours, labels),
        float_accuracy=_accuracy(theirs, labels),
        weight_bytes=report.storage.weights - saved,
        float_weight_bytes=report.storage.weights,
        instructions=_instructions(content, runtime),
        float_instructions=_instructions(flatbuffer, runtime),
        sums=counted,
    )


def _bits(report: Report, chains: Chains, plan: Plan, places: Mapping[str, Place]) -> dict[int, int]:
    """The bits of the kernels that are to have fewer than 8."""
    found: dict[int, int] = {}
    for number, layer in report.storage.kernels.items():
        place = places.get(layer)
        is_conv = number in chains.kernels and chains.ops[number].name == "CONV_2D"
        if place is not None and is_conv:
            weights = plan.bits_of(place.part, place.number).weights
            found |= {number: weights} if weights < forms.EIGHT else {}
    return found


def _sums(content: bytes, floats: Flatbuffer, report: Report, images: np.ndarray) -> Sums:
    """The sums of signs of a portable file, counted again in the file with integers."""
    file = Flatbuffer(content)
    numbers = {theirs: ours for ours, theirs in Pairing(file, floats).pairs}
    binary = [numbers.get(layer.index) for layer in report.layers if layer.index is not None]
    return sums.count(file, binary, images[:1], kernels_of(file))


def _instructions(content: bytes, runtime: str) -> dict[str, float]:
    """The estimate of a file; none for a portable one, whose binary convolutions nobody counted."""
    return {} if runtime == BUILTIN else cost.estimate(Flatbuffer(content)).total.instructions


def _accuracy(outputs: np.ndarray, labels: np.ndarray | None) -> float | None:
    return None if labels is None or outputs.ndim != 2 else float((outputs.argmax(-1) == labels).mean())
