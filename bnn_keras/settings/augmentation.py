"""How the images of a data set are cropped, changed and mixed: settings without the computation.

`bnn_keras.data.augment` computes what is set here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal, TypeAlias

from typing_extensions import Self

from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import (
    COUNT,
    Choice,
    Number,
    Numbers,
    Optional,
    Switch,
    Text,
    convert_fields,
    setting,
)
from bnn_keras.settings.rand_augment import EXAMPLE, RandAugment

INTERPOLATIONS = ("bilinear", "bicubic")
LARGEST_EDGE = 4096  # pixels of an image
EDGE = Number(1, LARGEST_EDGE, whole=True)
PHOTOGRAPH_EDGE = 224  # pixels: networks take photographs in this size, and `evaluation_edge` is given for it
LARGEST_HUE = 0.5  # of the colour circle: half of it, either way


@dataclasses.dataclass(frozen=True)
class Standard:
    """What None stands for in an `Augmentation`.

    The fields are those of the same names there.
    """

    evaluation_edge: int = PHOTOGRAPH_EDGE
    flip: bool = True
    interpolation: str = "bilinear"
    crop_area: tuple[float, ...] = (0.08, 1.0)
    crop_aspect: tuple[float, ...] = (3 / 4, 4 / 3)


Kind: TypeAlias = Literal["digits", "small", "photographs"]  # of data
STANDARDS: dict[str, Standard] = {
    "digits": Standard(flip=False),
    "small": Standard(),
    "photographs": Standard(evaluation_edge=256),
}

_AMOUNT = Number(0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training and evaluation images are made.

    None stands for the standard of the kind of data (`STANDARDS`).

    Args:
        crop_area: least and largest share of the image that a random crop covers. With None for both
            `crop_area` and `crop_aspect`, only photographs are cropped so: small images are padded and
            cropped, digits keep their place.
        crop_aspect: least and largest width over height of such a crop.
        interpolation: see `bnn_keras.data.augment.crops.resize`.
        evaluation_edge: pixels that the shorter side is resized to before the central 224 pixels are
            evaluated, in proportion for other sizes.
        flip: whether half of the training images are mirrored.
        color_jitter: ranges of brightness, contrast, saturation and hue; see `jitter.color_jitter`.
        hsv_jitter: ranges of hue, saturation and value; see `jitter.hsv_jitter`.
        lighting: standard deviation of the noise along the principal components of the colours; see
            `jitter.lighting`.
        rand_augment: a policy in timm's notation; see `RandAugment`.
        mixup, cutmix: alpha of the beta distribution; see `mixing.plan`.
        repeats: copies of each image in a batch, each augmented in its own way (Hoffer et al.,
            2020). An epoch keeps its number of steps and sees fewer images.

    Raises:
        UserError: a value of the wrong type or out of range.
    """

    crop_area: tuple[float, ...] | None = setting(
        "least and largest relative area of a random crop",
        Optional(Numbers(Number(0, 1, open_low=True), 2, ascending=True)),
        None,
    )
    crop_aspect: tuple[float, ...] | None = setting(
        "least and largest width over height of a crop",
        Optional(Numbers(Number(0.01, 100), 2, ascending=True)),
        None,
    )
    interpolation: str | None = setting("of resized images", Optional(Choice(INTERPOLATIONS)), None)
    evaluation_edge: int | None = setting(
        f"shorter side of which the central {PHOTOGRAPH_EDGE} are evaluated",
        Optional(Number(PHOTOGRAPH_EDGE, LARGEST_EDGE, whole=True)),
        None,
    )
    flip: bool | None = setting("mirror half of the images", Optional(Switch()), None)
    color_jitter: tuple[float, ...] | None = setting(
        "of brightness, contrast, saturation, hue", Optional(Numbers(_AMOUNT, 4)), None
    )
    hsv_jitter: tuple[float, ...] | None = setting(
        "of hue, saturation, value", Optional(Numbers(_AMOUNT, 3)), None
    )
    lighting: float = setting("deviation of PCA noise on the colours", _AMOUNT, 0.0)
    rand_augment: str | None = setting(
        "random operations on an image", Optional(Text(f"timm's notation, such as {EXAMPLE}")), None
    )
    mixup: float = setting("alpha of the mixture of two images", _AMOUNT, 0.0)
    cutmix: float = setting("alpha of the window pasted from another image", _AMOUNT, 0.0)
    repeats: int = setting("augmented copies of an image in a batch", COUNT, 1)

    def __post_init__(self) -> None:
        convert_fields(self)
        for key, hue in (("color_jitter", 3), ("hsv_jitter", 0)):
            ranges = getattr(self, key)
            if ranges and ranges[hue] > LARGEST_HUE:
                raise UserError(f"The hue in {key} must be from 0 to {LARGEST_HUE}. Received: {ranges[hue]}.")
        if self.rand_augment is not None:
            RandAugment.parse(self.rand_augment)

    @classmethod
    def for_evaluation(cls, recipe: Mapping) -> "Augmentation":
        """The part of a recipe, as config.json holds it, that evaluation images depend on."""
        return cls(interpolation=recipe.get("interpolation"), evaluation_edge=recipe.get("evaluation_edge"))

    def effective(self, kind: str) -> Self:
        """The same augmentation with the standard of a kind of data in place of None.

        `crop_area` and `crop_aspect` stay None where no random crop is resized; None in the other keys means
        that nothing is done.

        Args:
            kind: of the data; a key of `STANDARDS`.
        """
        standard = STANDARDS[kind]
        keys = ["interpolation", "evaluation_edge", "flip"]
        if kind == "photographs" or self.crop_area or self.crop_aspect:
            keys += ["crop_area", "crop_aspect"]
        unset = {key: getattr(standard, key) for key in keys if getattr(self, key) is None}
        return dataclasses.replace(self, **unset)

    @property
    def policy(self) -> RandAugment | None:
        """What `rand_augment` means."""
        return None if self.rand_augment is None else RandAugment.parse(self.rand_augment)

    @property
    def soft_labels(self) -> bool:
        """Whether images are mixed, so that a label is a distribution over the classes."""
        return bool(self.mixup or self.cutmix)
