"""What a file costs on a device, and what it would cost without rewrites."""

import dataclasses

from bnn_keras.accounting.cost import Cost
from bnn_keras.accounting.cost.words import millions

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


def _kinds(cost: Cost) -> dict[str, dict[str, int]]:
    return {kind: _rounded(found.instructions) for kind, found in cost.kinds.items()}


def _rounded(instructions: dict[str, float]) -> dict[str, int]:
    return {column: round(instructions[column]) for column in COLUMNS}
