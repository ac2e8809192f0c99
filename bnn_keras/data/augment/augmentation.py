"""What is done to an image before the model sees it: one setting a key, as in a recipe.

Everything stays RGB in [0, 255]: normalisation is a layer of the model. Every random choice comes
from a seed that is given, so that an image can be made again.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import tensorflow as tf

from bnn_keras.data.augment import crops, jitter, operations
from bnn_keras.data.augment.rand_augment import RandAugment
from bnn_keras.data.sources import images
from bnn_keras.errors import UserError, one_of

KINDS = ("digits", "small", "photographs")
PUBLISHED_SIZE = 224  # pixels: the edge that `evaluation_edge` is meant for
MARGIN = 256  # shorter side of a photograph of that size in evaluation
OFF = "none"

Change = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How training and evaluation images are made; None is the standard of the data set's kind.

    Args:
        crop_area: least and largest share of the image that a random crop covers. The standard for
            photographs is 0.08 to 1; small images are padded and cropped, digits keep their place.
        crop_aspect: least and largest width over height of such a crop; for photographs 3/4 to 4/3.
        interpolation: "bilinear", the standard, or "bicubic"; see `crops.resize`.
        evaluation_edge: the shorter side in pixels that an image is resized to before the central 224
            pixels are evaluated, scaled for other sizes; 256 for photographs, 224 for others.
        flip: whether half of the images are mirrored; all but digits are.
        color_jitter: ranges of brightness, contrast, saturation and hue; see `jitter.color_jitter`.
        hsv_jitter: ranges of hue, saturation and value; see `jitter.hsv_jitter`.
        lighting: deviation of the noise along the principal components; see `jitter.lighting`.
        rand_augment: timm's string, such as "rand-m7-mstd0.5-inc1-n2-p0.5", or "none".
        mixup, cutmix: alphas; see `mixing.plan`.
        repeats: copies of each image in a batch, each augmented in its own way (Hoffer et al.,
            2020). An epoch keeps its number of steps and sees fewer images.

    Raises:
        UserError: a value that cannot be.
    """

    crop_area: Sequence[float] | None = None
    crop_aspect: Sequence[float] | None = None
    interpolation: str | None = None
    evaluation_edge: int | None = None
    flip: bool | None = None
    color_jitter: Sequence[float] | None = None
    hsv_jitter: Sequence[float] | None = None
    lighting: float | None = None
    rand_augment: str | None = None
    mixup: float | None = None
    cutmix: float | None = None
    repeats: int | None = None

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if isinstance(getattr(self, field.name), list):
                object.__setattr__(self, field.name, tuple(getattr(self, field.name)))
        _check_range("crop_area", self.crop_area, most=1)
        _check_range("crop_aspect", self.crop_aspect)
        if self.interpolation not in (None, *crops.INTERPOLATIONS):
            raise one_of("interpolation", self.interpolation, crops.INTERPOLATIONS)
        if (self.evaluation_edge or PUBLISHED_SIZE) < PUBLISHED_SIZE:
            raise UserError(
                f"evaluation_edge is for images of {PUBLISHED_SIZE} pixels and must be at least that. "
                f"Received: {self.evaluation_edge}."
            )
        _check_ranges("color_jitter", self.color_jitter, ("brightness", "contrast", "saturation", "hue"))
        _check_ranges("hsv_jitter", self.hsv_jitter, ("hue", "saturation", "value"))
        for name in ("lighting", "mixup", "cutmix"):
            if (getattr(self, name) or 0) < 0:
                raise UserError(f"{name} must be 0 or more. Received: {getattr(self, name)}.")
        if self.repeats is not None and self.repeats < 1:
            raise UserError(f"repeats must be at least 1. Received: {self.repeats}.")
        self._policy()

    @classmethod
    def of(cls, recipe) -> "Augmentation":
        """The keys of a recipe that have the names of these.

        Args:
            recipe: a `bnn_keras.settings.recipe.Recipe`.
        """
        return cls(**{field.name: getattr(recipe, field.name) for field in dataclasses.fields(cls)})

    @classmethod
    def in_evaluation(cls, recipe: Mapping) -> "Augmentation":
        """What a recipe, as config.json has it, says of the images of an evaluation."""
        return cls(interpolation=recipe.get("interpolation"), evaluation_edge=recipe.get("evaluation_edge"))

    @property
    def soft_labels(self) -> bool:
        """Whether images are mixed, so that a label is a distribution over the classes."""
        return bool(self.mixup or self.cutmix)

    @property
    def increasing(self) -> bool:
        """Whether RandAugment's operations all grow with the magnitude; so where there is none."""
        policy = self._policy()
        return policy is None or policy.increasing

    def training(
        self, kind: str, size: int, mean: Sequence[float], all_jpeg: bool = False
    ) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """The training form: a function of the contents (or pixels) and a seed, int64 [2].

        Args:
            kind: one of `KINDS`.
            size: edge in pixels of what comes out.
            mean: the colour of what comes in from outside.
            all_jpeg: see `images.decode_window`.

        Returns:
            The function; it gives float32, [size, size, 3]. Mixing and repeating is for the batch.
        """
        return _training(self, kind, size, tuple(mean), all_jpeg)

    def evaluation(self, kind: str, size: int) -> Callable[[tf.Tensor], tf.Tensor]:
        """The evaluation form: the shorter side resized, the centre cut out.

        Args:
            kind: one of `KINDS`.
            size: edge in pixels of what comes out.

        Returns:
            A function of the contents (or pixels) that gives float32, [size, size, 3].
        """
        standard = MARGIN if kind == "photographs" else PUBLISHED_SIZE
        shorter = round(size * (self.evaluation_edge or standard) / PUBLISHED_SIZE)
        return lambda contents: crops.centre(images.pixels(contents), shorter, size, self._interpolation)

    def _augment(
        self, image: tf.Tensor, seed: tf.Tensor, crop: Change, changes: Sequence[Change]
    ) -> tf.Tensor:
        image = crop(image, seed)
        if changes:
            image = operations.to_bytes(image)
            for i, change in enumerate(changes):
                image = change(image, tf.random.experimental.stateless_fold_in(seed, i))
            image = tf.cast(image, tf.float32)
        if self.lighting:
            other = tf.random.experimental.stateless_fold_in(seed, len(changes))
            image = jitter.lighting(image, other, self.lighting)
        return image

    @property
    def _interpolation(self) -> str:
        return self.interpolation or crops.INTERPOLATIONS[0]

    def _crop(self, kind: str, size: int, mean: Sequence[float], all_jpeg: bool) -> Change:
        flip = kind != "digits" if self.flip is None else self.flip
        if kind == "photographs" or self.crop_area or self.crop_aspect:
            return partial(
                crops.random_resized_crop,
                size=size,
                area=self.crop_area or crops.AREA,
                aspect=self.crop_aspect or crops.ASPECT,
                interpolation=self._interpolation,
                flip=flip,
                all_jpeg=all_jpeg,
            )

        def whole(contents):
            return crops.centre(images.pixels(contents), size, size, self._interpolation)

        if kind == "small":
            return lambda contents, seed: crops.pad_and_crop(whole(contents), seed, mean, flip)
        if flip:
            return lambda contents, seed: crops.maybe_flip(
                whole(contents), tf.random.stateless_uniform([], seed)
            )
        return lambda contents, seed: whole(contents)

    def _changes(self, mean: Sequence[float]) -> list[Change]:
        """What is done to the resized image of bytes, in timm's order."""
        changes: list[Change] = []
        policy = self._policy()
        if policy:
            changes.append(partial(policy, fill=[round(channel) for channel in mean]))
        if self.color_jitter and any(self.color_jitter):
            changes.append(partial(jitter.color_jitter, ranges=self.color_jitter))
        if self.hsv_jitter and any(self.hsv_jitter):
            changes.append(partial(jitter.hsv_jitter, ranges=self.hsv_jitter))
        return changes

    def _policy(self) -> RandAugment | None:
        if self.rand_augment in (None, OFF):
            return None
        return RandAugment.parse(self.rand_augment)


@functools.lru_cache(maxsize=8)
def _training(
    augmentation: Augmentation, kind: str, size: int, mean: tuple[float, ...], all_jpeg: bool
) -> Change:
    """See `Augmentation.training`; made once, since every epoch asks for it and tracing takes a second."""
    crop, changes = augmentation._crop(kind, size, mean, all_jpeg), augmentation._changes(mean)
    return tf.function(partial(augmentation._augment, crop=crop, changes=changes), autograph=False)


def _check_range(name: str, received: Sequence[float] | None, most: float = float("inf")) -> None:
    """Two numbers above 0, the first not larger than the second."""
    if received is None:
        return
    if len(received) != 2 or not 0 < received[0] <= received[1] <= most:
        limit = "above 0" if most == float("inf") else f"above 0 and up to {most}"
        raise UserError(f"{name} takes two numbers {limit}, the smaller first. Received: {received}.")


def _check_ranges(name: str, received: Sequence[float] | None, parts: Sequence[str]) -> None:
    """One number a part; the hue's is at most half of the circle."""
    if received is None:
        return
    if len(received) != len(parts) or min(received) < 0 or received[parts.index("hue")] > 0.5:
        raise UserError(
            f"{name} takes {len(parts)} numbers of 0 or more, for {', '.join(parts)} (that of the hue up to "
            f"0.5). Received: {received}."
        )


STANDARD = Augmentation()
