"""How an image becomes the input of a network, step by step and as data."""

import dataclasses
from typing import Annotated, Literal

import msgspec

from bnn_keras.settings.augmentation import LARGEST_EDGE, PHOTOGRAPH_EDGE, STANDARDS, Augmentation

_Edge = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_EDGE)]
_LARGEST_RATIO = LARGEST_EDGE / PHOTOGRAPH_EDGE  # of `shorter_side` to `crop_size`, as in a recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The steps from an image file to the input, in the order of the fields. The manifest has them too.

    examples/phone_input.py carries them out with Pillow and NumPy alone.

    Args:
        exif_orientation: the decoded image is turned and mirrored as its EXIF orientation says.
        pixels: what is resized: RGB from 0 to 255. Grey is repeated, alpha is dropped.
        shorter_side: pixels that the shorter side is resized to.
        longer_side: its number of pixels, which keeps the aspect.
        interpolation: "bilinear" or "bicubic" (Keys's kernel with a = -0.5). The centres of pixels lie at
            halves. Pixels outside of the image have no weight; the other weights are scaled to a sum of 1.
        antialias: whether the kernel is widened where the image becomes smaller, as in Pillow. Otherwise it
            is not, as in OpenCV.
        rounding: the resized values stay floating-point numbers, limited to [0, 255].
        crop: the part of the resized image that is cut out; its upper left corner is rounded down.
        crop_size: edge of this square in pixels, which is the network's input size.

    Raises:
        ValueError: the shorter side is shorter than the crop, or out of proportion.
    """

    exif_orientation: Literal["applied"] = "applied"
    pixels: Literal["RGB"] = "RGB"
    shorter_side: int
    longer_side: Literal["in proportion, rounded down"] = "in proportion, rounded down"
    interpolation: Literal["bilinear", "bicubic"]
    antialias: bool
    rounding: Literal["none"] = "none"
    crop: Literal["centre"] = "centre"
    crop_size: _Edge

    def __post_init__(self) -> None:
        if not 1 <= self.shorter_side / self.crop_size <= _LARGEST_RATIO:
            raise ValueError(f"shorter_side {self.shorter_side} does not fit crop_size {self.crop_size}")
        if self.antialias != (self.interpolation == "bicubic"):
            raise ValueError(f"antialias {self.antialias} does not fit {self.interpolation}")

    @classmethod
    def of(cls, augmentation: Augmentation, kind: str, size: int) -> "Preprocessing":
        """What the evaluation of a data set does to an image.

        Args:
            augmentation: which edge and which interpolation.
            kind: of the data; a key of `STANDARDS`.
            size: edge in pixels of the input.
        """
        edge = augmentation.evaluation_edge or STANDARDS[kind].evaluation_edge
        interpolation = augmentation.interpolation or STANDARDS[kind].interpolation
        return cls(
            shorter_side=round(size * edge / PHOTOGRAPH_EDGE),
            interpolation=interpolation,  # type: ignore[arg-type]  # one of INTERPOLATIONS
            antialias=interpolation == "bicubic",
            crop_size=size,
        )
