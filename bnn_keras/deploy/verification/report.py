"""What was compared between a file and its model, and how it came out."""

import dataclasses

import numpy as np

from bnn_keras.accounting.cost import Cost
from bnn_keras.deploy.conversion.hardening import Hardening
from bnn_keras.deploy.rewrite import Applied
from bnn_keras.deploy.verification.binary import BinaryLayer
from bnn_keras.deploy.verification.comparison import Tap
from bnn_keras.deploy.verification.storage import Storage
from bnn_keras.deploy.verification.sums import Sums
from bnn_keras.errors import UserError
from bnn_keras.tflite.flatbuffer import BCONV

SHOWN = 12  # problems in an error message
INT8_CONV = "CONV_2D with signs in int8"


@dataclasses.dataclass(frozen=True)
class OtherClass:
    """An image that the file puts into another class than the model.

    Args:
        image: its number.
        model_class, file_class: the two classes.
        margin: by which the model preferred its own class.
    """

    image: int
    model_class: int
    file_class: int
    margin: float


@dataclasses.dataclass(frozen=True)
class Report:
    """The results of all checks of a file.

    Args:
        layers: that are meant to be binary.
        taps: the comparison of every tensor at a tap.
        storage: the bytes of the file.
        images: number of images whose class was compared.
        exceptions: the images of another class.
        structure: what is wrong with the structure of the file, in words; then nothing else was compared.
        hardening: the effect of the hard sign; None for a model without progressive kernels.
        unchecked: the names of the layers that were left unchecked.
        rewrites: what each rewrite did.
        plain: what the file would cost on a device without rewrites; None if that was not asked.
        sums: of signs, in a file for TFLite's own kernels; None in one for LCE.
    """

    layers: list[BinaryLayer]
    taps: list[Tap]
    storage: Storage
    images: int
    exceptions: list[OtherClass]
    structure: list[str] = dataclasses.field(default_factory=list)
    hardening: Hardening | None = None
    unchecked: list[str] = dataclasses.field(default_factory=list)
    rewrites: list[Applied] = dataclasses.field(default_factory=list)
    plain: Cost | None = None
    sums: Sums | None = None

    @property
    def problems(self) -> list[str]:
        """What is wrong with the file, a sentence each."""
        layers = [f"{layer.name}: {layer.problem}" for layer in self.layers if layer.problem]
        taps = [f"{tap.name}: {tap.problem}" for tap in self.taps if tap.problem]
        wrong = [self.sums.problem] if self.sums and self.sums.wrong else []
        return [*self.structure, *layers, *taps, *wrong, *self.storage.problems]

    @property
    def worst(self) -> Tap:
        """The tap with the largest difference in relation to its tolerance."""
        return max(self.taps, key=lambda tap: tap.ratio)


def lines(report: Report) -> list[str]:
    """The report in words."""
    right = [layer for layer in report.layers if not layer.problem]
    undecided = np.mean([tap.undecided for tap in report.taps])
    return [
        *([report.hardening.sentence] if report.hardening else []),
        *(f"rewrite {applied.sentence}" for applied in report.rewrites),
        f"binary: {len(right)} of {len(report.layers)} binary layers are "
        f"{INT8_CONV if report.sums else BCONV}, bit by bit",
        *([report.sums.sentence] if report.sums else []),
        f"same function: {len(report.taps)} tensors, each stage with the file's own input, differ by at most "
        f"{report.worst.ratio:.2f} of what rounding explains ({report.worst.name}); "
        f"rounding leaves {undecided:.2%} of the values open",
        f"same class: {report.images - len(report.exceptions)} of {report.images} images",
        *map(_exception, report.exceptions),
        *([f"not checked, as asked: {', '.join(report.unchecked)}"] if report.unchecked else []),
        f"size: {report.storage.weights:,} bytes of weights, all of them needed by a layer; "
        f"{report.storage.metadata:,} bytes of names and structure",
    ]


def _exception(item: OtherClass) -> str:
    return (
        f"  image {item.image}: class {item.file_class} instead of {item.model_class}, by {item.margin:.2g}"
    )


def require(report: Report, name: str) -> None:
    """Refuse a file that has problems.

    Args:
        report: of the file.
        name: of its model.

    Raises:
        UserError: with the first problems, and the number of the others.
    """
    if report.problems:
        shown = report.problems[:SHOWN]
        more = f"; and {len(report.problems) - len(shown)} more" if len(report.problems) > len(shown) else ""
        raise UserError(f"{name} is refused, nothing was written: {'; '.join(shown)}{more}.")
