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
from bnn_keras.settings.augmentation import STANDARDS, Augmentation
from bnn_keras.settings.preprocessing import Preprocessing

Change = Callable[[images.Contents, tf.Tensor], tf.Tensor]  # of an image, by a seed


def evaluation_transform(preprocessing: Preprocessing) -> Callable[[images.Contents], tf.Tensor]:
    """Make the function that prepares images for evaluation: it resizes them and cuts the centre out.

    Returns:
        A function of the contents of a file (or pixels) that gives float32, [size, size, 3].
    """
    shorter, size = preprocessing.shorter_side, preprocessing.crop_size
    interpolation = preprocessing.interpolation
    return lambda contents: crops.centre(images.pixels(contents), shorter, size, interpolation)


# Cached, because every epoch needs it and tracing takes a second.
@functools.lru_cache(maxsize=8)
def training_transform(
    augmentation: Augmentation, kind: str, size: int, mean: tuple[float, ...], all_jpeg: bool = False
) -> Change:
    """Make the function that prepares training images; batches are mixed and repeated after that.

    Args:
        augmentation: what it does to them.
        kind: of the data; a key of `STANDARDS`.
        size: edge in pixels of the image that comes out.
        mean: the colour of the pixels that come from outside the image.
        all_jpeg: see `images.decode_window`.

    Returns:
        A function of the contents of a file (or pixels) and a seed, int64 [2], that gives float32,
        [size, size, 3].
    """
    crop, changes = _crop(augmentation, kind, size, mean, all_jpeg), _changes(augmentation, mean)

    def transform(contents: images.Contents, seed: tf.Tensor) -> tf.Tensor:
        image = crop(contents, seed)
        if changes:
            image = operations.to_bytes(image)
            for i, change in enumerate(changes):
                image = change(image, tf.random.experimental.stateless_fold_in(seed, i))
            image = tf.cast(image, tf.float32)
        if augmentation.lighting:
            other_seed = tf.random.experimental.stateless_fold_in(seed, len(changes))
            image = jitter.lighting(image, other_seed, augmentation.lighting)
        return image

    return tf.function(transform, autograph=False)


def _crop(augmentation: Augmentation, kind: str, size: int, mean: Sequence[float], all_jpeg: bool) -> Change:
    """The function that decodes an image and gives it its size, float32."""
    standard = STANDARDS[kind]
    interpolation = augmentation.interpolation or standard.interpolation
    flip = standard.flip if augmentation.flip is None else augmentation.flip
    if kind == "photographs" or augmentation.crop_area or augmentation.crop_aspect:
        return partial(
            crops.random_resized_crop,
            size=size,
            area=augmentation.crop_area or standard.crop_area,
            aspect=augmentation.crop_aspect or standard.crop_aspect,
            interpolation=interpolation,
            flip=flip,
            all_jpeg=all_jpeg,
        )

    def whole(contents: images.Contents) -> tf.Tensor:
        return crops.centre(images.pixels(contents), size, size, interpolation)

    if kind == "small":
        return lambda contents, seed: crops.pad_and_crop(whole(contents), seed, mean, flip)
    if flip:
        return lambda contents, seed: crops.maybe_flip(whole(contents), tf.random.stateless_uniform([], seed))
    return lambda contents, seed: whole(contents)


def _changes(augmentation: Augmentation, mean: Sequence[float]) -> list[Change]:
    """What is done to the resized image of bytes, in timm's order."""
    changes: list[Change] = []
    if augmentation.policy:
        fill = [round(channel) for channel in mean]
        changes.append(partial(rand_augment, policy=augmentation.policy, fill=fill))
    if augmentation.color_jitter and any(augmentation.color_jitter):
        changes.append(partial(jitter.color_jitter, ranges=augmentation.color_jitter))
    if augmentation.hsv_jitter and any(augmentation.hsv_jitter):
        changes.append(partial(jitter.hsv_jitter, ranges=augmentation.hsv_jitter))
    return changes
