"""What a file costs on a device, and what it would cost without rewrites."""

import dataclasses

import tensorflow as tf

from bnn_keras import deploy
from bnn_keras.accounting.cost import Cost, estimate
from bnn_keras.accounting.cost.words import millions
from bnn_keras.deploy.conversion.hardening import harden
from bnn_keras.tflite.flatbuffer import Flatbuffer

COLUMNS = ("tflite", "xnnpack")  # without int8, dot products change nothing


@dataclasses.dataclass(frozen=True)
class Costs:
    """The estimates of a file.

    Args:
        rewritten: of the file itself.
        plain: of the same network without rewrites.
    """

    rewritten: Cost
    plain: Cost

    @property
    def sentence(self) -> str:
        """Both sums in words."""
        (tflite, xnnpack), (plain, plain_xnnpack) = (
            [millions(cost.total.instructions[column]) for column in COLUMNS]
            for cost in (self.rewritten, self.plain)
        )
        return (
            f"cost: about {tflite} million ARM64 instructions an image with TFLite's kernels, "
            f"{xnnpack} with XNNPACK; without rewrites {plain} and {plain_xnnpack} "
            f"(estimates of instructions, not of time: see bnn cost)"
        )

    def for_manifest(self) -> dict:
        """Whole numbers of instructions."""
        return {
            **_rounded(self.rewritten.total.instructions),
            "binary_floor": round(self.rewritten.floor),
            "kinds": _kinds(self.rewritten),
            "kinds_without_rewrites": _kinds(self.plain),
        }


def measure(model: tf.keras.Model, flatbuffer: bytes, options: deploy.Options) -> Costs:
    """Estimate what a file costs.

    Without rewrites the network is converted again, and not checked: which operations LCE makes one of others
    is not known without it.

    Args:
        model: that was converted.
        flatbuffer: the file.
        options: that it was converted with.
    """
    rewritten = estimate(Flatbuffer(flatbuffer))
    if set(options.skip) == set(deploy.IDENTITY.skip):
        return Costs(rewritten, rewritten)
    plain = deploy.to_flatbuffer(harden(model), options=deploy.IDENTITY)
    return Costs(rewritten, estimate(Flatbuffer(plain)))


def _kinds(cost: Cost) -> dict[str, dict[str, int]]:
    return {kind: _rounded(found.instructions) for kind, found in cost.kinds.items()}


def _rounded(instructions: dict[str, float]) -> dict[str, int]:
    return {column: round(instructions[column]) for column in COLUMNS}
