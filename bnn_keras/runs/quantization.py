"""What the post-training quantization of a run's network has given: quantization.json in the run folder."""

import dataclasses
import json
import math
import statistics
from pathlib import Path

from bnn_keras import files
from bnn_keras.json_file import read_json


@dataclasses.dataclass(frozen=True)
class Fraction:
    """A number of images of all."""

    right: int
    images: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.right / self.images if self.images else math.nan


@dataclasses.dataclass(frozen=True)
class QuantizedRow:
    """A network with the bits of one setting.

    Args:
        bits: the text of the bits by part; {} for the network in 32 bits.
        size_mib: of the weights.
        qops, ops: see `bnn_keras.accounting.quantized`.
        rounded: accuracy on the held-out images, before anything is fine-tuned.
        fine_tuned: the same after fine-tuning, once for each seed.
    """

    bits: dict[str, str]
    size_mib: float
    qops: int
    ops: float
    rounded: Fraction
    fine_tuned: tuple[Fraction, ...] = ()

    @property
    def mean(self) -> float:
        """Of the accuracies after fine-tuning."""
        return statistics.mean(each.share for each in self.fine_tuned) if self.fine_tuned else math.nan

    @property
    def deviation(self) -> float:
        """Of these accuracies, that of a sample."""
        shares = [each.share for each in self.fine_tuned]
        return statistics.stdev(shares) if len(shares) > 1 else math.nan


@dataclasses.dataclass(frozen=True)
class Quantization:
    """A study of several settings.

    Args:
        weights: the file that the network comes from.
        epochs, learning_rate, train_images, batch_size: of the fine-tuning.
        seeds: of the order and the augmentation of its images.
        rows: the network in 32 bits, and a row for each setting.
    """

    weights: str
    epochs: int
    learning_rate: float
    train_images: int
    batch_size: int
    seeds: tuple[int, ...]
    rows: tuple[QuantizedRow, ...]

    @classmethod
    def read(cls, path: Path) -> "Quantization":
        """Read a file.

        Raises:
            UserError: it cannot be read, or is not of this form.
        """
        return read_json(path, cls, "the quantization of a run")

    def write(self, path: Path) -> None:
        """Write a file, whole or not at all."""
        files.write_text(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @property
    def explanation(self) -> str:
        """How it was done, in a sentence."""
        tuned = (
            f"fine-tuned for {self.epochs} epochs on {self.train_images:,} training images with AdamW at "
            f"{self.learning_rate:g}, batch size {self.batch_size}, the binary layers and all others fixed"
        )
        return (
            f"Simulated quantization of the 32-bit layers of {Path(self.weights).name} (BNext, section 7.5): "
            f"bits of weights/activations. Its ranges are those of the weights and of each image: there is "
            f"no calibration, and nothing random before fine-tuning"
            + (f"; {tuned}: mean and deviation of {len(self.seeds)} seeds." if self.epochs else ".")
        )

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings, and the cells of each row."""
        headings = ["bits", "MiB", "QOPs, 10⁶", "OPs, 10⁸", "accuracy, %", "fine-tuned, %", "deviation"]
        return headings, [
            [
                ", ".join(f"{part} {bits}" for part, bits in row.bits.items()) or "32/32",
                f"{row.size_mib:.2f}",
                f"{row.qops / 1e6:.2f}",
                f"{row.ops / 1e8:.3f}",
                _percent(row.rounded.share),
                _percent(row.mean),
                _percent(row.deviation),
            ]
            for row in self.rows
        ]


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.2f}"
