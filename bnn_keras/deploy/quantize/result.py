"""What integers change in a file: the comparison with its float file, accuracy, size and cost."""

import dataclasses
from typing import Any

from bnn_keras.accounting.cost import COLUMNS
from bnn_keras.deploy.quantize.stage import Stage
from bnn_keras.deploy.verification.sums import Sums
from bnn_keras.errors import UserError
from bnn_keras.settings.quantization import Plan


@dataclasses.dataclass(frozen=True)
class Quantized:
    """What integers change in a file.

    Args:
        plan: the bits of the parts.
        calibration_images: number of images that the ranges come from.
        stages: the operations with integers, compared with the float file.
        images: number of images that were classified.
        other_class: number of images with another class than the float file gives.
        accuracy, float_accuracy: shares of the images, of both files; None without labels.
        weight_bytes, float_weight_bytes: of both files, the scales of kernels and the factors of channels
            among them.
        instructions, float_instructions: estimates of both files, by column of the cost table; none of a
            portable file.
        sums: of signs in a portable file; None in one for LCE.
    """

    plan: Plan
    calibration_images: int
    stages: list[Stage]
    images: int
    other_class: int
    accuracy: float | None
    float_accuracy: float | None
    weight_bytes: int
    float_weight_bytes: int
    instructions: dict[str, float]
    float_instructions: dict[str, float]
    sums: Sums | None = None

    @property
    def loss(self) -> float | None:
        """Accuracy that is lost, in points; None without labels."""
        if self.accuracy is None or self.float_accuracy is None:
            return None
        return 100 * (self.float_accuracy - self.accuracy)

    @property
    def worst(self) -> Stage:
        """The operation with the largest difference in relation to its bound."""
        return max(self.stages, key=lambda stage: stage.ratio)

    def to_dict(self) -> dict[str, Any]:
        """For the manifest of the file."""
        estimates = {
            f"{name}estimated_arm64_instructions": {key: round(number) for key, number in counts.items()}
            for name, counts in (("", self.instructions), ("float_", self.float_instructions))
            if counts
        }
        return {
            "bits": self.plan.parts,
            "calibration_images": self.calibration_images,
            "inexact": [
                {
                    "name": stage.name,
                    "operation": stage.kind,
                    "weight_bits": stage.bits,
                    "integer": stage.is_integer,
                    "equalized": stage.is_equalized,
                    "largest_difference_over_bound": stage.ratio,
                }
                for stage in self.stages
                if stage.bits is not None
            ],
            "images": self.images,
            "images_of_another_class": self.other_class,
            "accuracy": self.accuracy,
            "float_accuracy": self.float_accuracy,
            "weight_bytes": self.weight_bytes,
            "float_weight_bytes": self.float_weight_bytes,
            **estimates,
            **({"sums_of_signs": dataclasses.asdict(self.sums)} if self.sums else {}),
        }


def require(found: Quantized, largest_loss: float, name: str) -> None:
    """Refuse a file that loses too much.

    Args:
        found: of the file.
        largest_loss: in points of accuracy.
        name: of its model.

    Raises:
        UserError: it loses more.
    """
    if found.loss is not None and found.loss > largest_loss:
        raise UserError(
            f"{name} is refused, nothing was written: in int8 it loses {found.loss:.2f} points of accuracy "
            f"on {found.images} images ({found.float_accuracy:.2%} to {found.accuracy:.2%}); valid: at most "
            f"--largest_loss={largest_loss:g}."
        )


def lines(found: Quantized) -> list[str]:
    """What integers change, in words."""
    integer = [stage for stage in found.stages if stage.is_integer and stage.bits]
    small = [stage for stage in integer if stage.bits == 4]
    rounded = [stage for stage in found.stages if not stage.is_integer]
    equalized = [stage for stage in found.stages if stage.is_equalized]
    cut = max((stage.cut for stage in found.stages), default=0.0)
    accuracy = "accuracy: not measured, as the images have no labels"
    if found.accuracy is not None and found.float_accuracy is not None:
        accuracy = f"accuracy: {found.float_accuracy:.2%} in float, {found.accuracy:.2%} in int8"
    return [
        f"int8: {len(integer)} operations compute with integers ({len(small)} with weights of 4 bits), "
        f"{len(rounded)} have rounded weights; of {len(equalized)} inputs channels were brought to like "
        f"ranges; ranges from {found.calibration_images} calibration images",
        f"int8 is inexact: each operation differs from the float file by at most {found.worst.ratio:.2f} of "
        f"what its scales explain ({found.worst.name}), and at most {cut:.2%} of a tensor lies outside its "
        f"range; all else is bit by bit that of the float file, binary layers too",
        f"{accuracy}; same class as in float: {found.images - found.other_class} of {found.images} images",
        f"size: {found.weight_bytes:,} bytes of weights and scales, {found.float_weight_bytes:,} in float",
        *([f"in int8, {found.sums.sentence}"] if found.sums else []),
        *([_costs(found)] if found.instructions else []),
    ]


def _costs(found: Quantized) -> str:
    before, after = found.float_instructions, found.instructions
    costs = [f"{before[key] / 1e6:.1f} to {after[key] / 1e6:.1f}" for key in COLUMNS]
    return (
        f"million ARM64 instructions, float and int8: {costs[0]} with TFLite's kernels, {costs[1]} with "
        f"XNNPACK; with dot products {costs[2]} and {costs[3]}"
    )
