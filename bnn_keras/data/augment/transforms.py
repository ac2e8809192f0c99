"""What is done to an image before the model sees it, in training and in evaluation.

Everything stays RGB in [0, 255]: normalisation is a layer of the model. Every random choice comes
from a seed that is given, so that an image can be made again.
"""

import functools
from collections.abc import Callable, Sequence
from functools import partial

import tensorflow as tf

from bnn_keras.data.augment import crops, jitter, operations
from bnn_keras.data.augment.rand_augment import rand_augment
from bnn_keras.data.sources import images
from bnn_keras.settings.augmentation import EVALUATION_SIZE, STANDARDS, Augmentation

Change = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # of an image, by a seed


def evaluation_transform(
    augmentation: Augmentation, kind: str, size: int
) -> Callable[[tf.Tensor], tf.Tensor]:
    """How images are evaluated: the shorter side is resized, the centre cut out.

    Args:
        augmentation: the edge and the interpolation.
        kind: of the data; a key of `STANDARDS`.
        size: edge in pixels of the image that comes out.

    Returns:
        A function of the contents of a file (or pixels) that gives float32, [size, size, 3].
    """
    settings = augmentation.for_kind(kind)
    shorter = round(size * settings.evaluation_edge / EVALUATION_SIZE)
    return lambda contents: crops.centre(images.pixels(contents), shorter, size, settings.interpolation)


# Kept, since every epoch asks for it and tracing takes a second.
@functools.lru_cache(maxsize=8)
def training_transform(
    augmentation: Augmentation, kind: str, size: int, mean: tuple[float, ...], all_jpeg: bool = False
) -> Change:
    """How images are trained on, one by one; mixing and repeating is for the batch.

    Args:
        augmentation: what is done.
        kind: of the data; a key of `STANDARDS`.
        size: edge in pixels of the image that comes out.
        mean: the colour of the pixels that come from outside the image.
        all_jpeg: see `images.decode_window`.

    Returns:
        A function of the contents of a file (or pixels) and a seed, int64 [2], that gives float32,
        [size, size, 3].
    """
    settings = augmentation.for_kind(kind)
    crop, changes = _crop(settings, kind, size, mean, all_jpeg), _changes(settings, mean)

    def transform(contents: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        image = crop(contents, seed)
        if changes:
            image = operations.to_bytes(image)
            for i, change in enumerate(changes):
                image = change(image, tf.random.experimental.stateless_fold_in(seed, i))
            image = tf.cast(image, tf.float32)
        if settings.lighting:
            other_seed = tf.random.experimental.stateless_fold_in(seed, len(changes))
            image = jitter.lighting(image, other_seed, settings.lighting)
        return image

    return tf.function(transform, autograph=False)


def _crop(settings: Augmentation, kind: str, size: int, mean: Sequence[float], all_jpeg: bool) -> Change:
    """The function that decodes an image and gives it its size, float32."""
    if settings.crop_area or settings.crop_aspect:
        photographs = STANDARDS["photographs"]
        return partial(
            crops.random_resized_crop,
            size=size,
            area=settings.crop_area or photographs.crop_area,
            aspect=settings.crop_aspect or photographs.crop_aspect,
            interpolation=settings.interpolation,
            flip=settings.flip,
            all_jpeg=all_jpeg,
        )

    def whole(contents: tf.Tensor) -> tf.Tensor:
        return crops.centre(images.pixels(contents), size, size, settings.interpolation)

    if kind == "small":
        return lambda contents, seed: crops.pad_and_crop(whole(contents), seed, mean, settings.flip)
    if settings.flip:
        return lambda contents, seed: crops.maybe_flip(whole(contents), tf.random.stateless_uniform([], seed))
    return lambda contents, seed: whole(contents)


def _changes(settings: Augmentation, mean: Sequence[float]) -> list[Change]:
    """What is done to the resized image of bytes, in timm's order."""
    changes: list[Change] = []
    if settings.policy:
        fill = [round(channel) for channel in mean]
        changes.append(partial(rand_augment, policy=settings.policy, fill=fill))
    if settings.color_jitter and any(settings.color_jitter):
        changes.append(partial(jitter.color_jitter, ranges=settings.color_jitter))
    if settings.hsv_jitter and any(settings.hsv_jitter):
        changes.append(partial(jitter.hsv_jitter, ranges=settings.hsv_jitter))
    return changes
