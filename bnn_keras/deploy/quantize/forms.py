"""The form that each 32-bit operation of a file gets: integers, rounded weights, or as it was.

A chain is computed in integers if that takes no more ARM64 instructions than floats on a processor without
dot products, by the table of unit costs (`bnn_keras.accounting.cost`); with dot products it then takes
fewer. Otherwise its kernels are stored in 8 bits only, and TFLite turns them into floats once, before the
first image; those whose inputs would have to be equalized stay as they are, as that takes instructions.
Kernels of 4 bits are always computed with as integers: LCE's runtime has no other kernel for them.
"""

import dataclasses
from collections.abc import Mapping

from bnn_keras.accounting import cost
from bnn_keras.deploy.quantize.calibration import Range
from bnn_keras.deploy.quantize.chains import Chains
from bnn_keras.settings.runtime import LCE
from bnn_keras.tflite.flatbuffer import KERNEL, Flatbuffer
from bnn_keras.tflite.int8 import Editor, Equalization
from bnn_keras.tflite.integers import Scale

EIGHT = 8
# Bytes in the file for each output channel of a kernel in integers, a scale and a zero, and for its tensors.
OF_CHANNEL, OF_KERNEL = 12, 200


@dataclasses.dataclass(frozen=True)
class Forms:
    """The forms of the operations of a file, by number.

    Args:
        integer: those that are computed in integers, and the bits of their kernels.
        weights_only: those whose kernels are stored in so many bits.
    """

    integer: dict[int, int]
    weights_only: dict[int, int]


def scales_of(chains: Chains, ranges: Mapping[int, Range]) -> dict[int, Scale]:
    """The scale of every activation that may be integers.

    Args:
        chains: of the file.
        ranges: of the channels of each activation.
    """
    wide = {tensor: own.ends for tensor, own in ranges.items()}
    for tensors in chains.same_scale:
        ends = [wide[tensor] for tensor in tensors]
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        wide.update(dict.fromkeys(tensors, (low, high)))
    return {tensor: Scale.of_range(low, high) for tensor, (low, high) in wide.items()}


def choose(
    flatbuffer: bytes,
    chains: Chains,
    scales: Mapping[int, Scale],
    equalizations: Mapping[int, Equalization],
    bits: Mapping[int, int],
    runtime: str,
) -> Forms:
    """Choose the form of each operation.

    Args:
        flatbuffer: the bytes of the file, in float.
        chains: of the file.
        scales: of its activations.
        equalizations: of the inputs of operations, if they compute with integers.
        bits: of the kernels of operations, where these are not 8.
        runtime: one of `bnn_keras.settings.runtime.RUNTIMES`.
    """
    column = "tflite" if runtime == LCE else "xnnpack"
    everything = {number: bits.get(number, EIGHT) for chain in chains.chains for number in chain}
    before = _instructions(chains.file, range(len(chains.ops)), column)
    file = Flatbuffer(flatbuffer)
    numbers = Editor(file, scales, equalizations).apply(everything, {})
    after = _instructions(file, numbers, column)
    integer: dict[int, int] = {}
    for chain in chains.chains:
        is_cheaper = sum(after[number] for number in chain) <= sum(before[number] for number in chain)
        if is_cheaper or any(everything[number] < EIGHT for number in chain):
            integer |= {number: everything[number] for number in chain}
    rest = sorted(chains.kernels.difference(integer, equalizations))
    return Forms(integer, {number: EIGHT for number in rest if _saves(chains.file, number)})


def _instructions(file: Flatbuffer, numbers: "range | list[int]", column: str) -> dict[int, float]:
    """The instructions of the operations that belong to each number."""
    found: dict[int, float] = {}
    for number, operation in zip(numbers, cost.estimate(file).operations, strict=True):
        instructions = 0.0 if operation.instructions is None else operation.instructions[column]
        found[number] = found.get(number, 0.0) + instructions
    return found


def _saves(file: Flatbuffer, number: int) -> bool:
    """Whether a kernel takes fewer bytes in integers."""
    kernel = file.constant(file.ops[number].inputs[KERNEL])
    return kernel.nbytes > kernel.size + OF_CHANNEL * len(kernel) + OF_KERNEL
