"""What is done to an image before the model sees it, by the kind of data set.

Everything stays RGB in [0, 255]: normalisation is a layer of the model. Every random choice comes
from a seed that is given, so that an image can be made again.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from bnn_keras.data import images

KINDS = ("digits", "small", "photographs")
AREA = (0.08, 1.0)  # of the image that a crop covers
ASPECT = (3 / 4, 4 / 3)  # width over height of a crop
ATTEMPTS = 10  # at a crop that lies within the image
PADDING = 4  # pixels on each side of a small image
MARGIN = 256 / 224  # shorter side of a photograph over the edge of its central crop, in evaluation


def training(
    kind: str, size: int, mean: Sequence[float], all_jpeg: bool = False
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The training form: a function of the contents (or pixels) and a seed, int64 [2].

    Photographs: a random crop resized, and flipped or not (MeliusNet, section 4.1). Small: padding,
    a random crop, and flipped or not. Digits: as in evaluation.

    Args:
        kind: one of `KINDS`.
        size: edge in pixels of what comes out.
        mean: the colour of the padding.
        all_jpeg: see `images.decode_window`.

    Returns:
        The function; it gives float32, [size, size, 3].
    """
    if kind == "photographs":
        return lambda contents, seed: random_resized_crop(contents, seed, size, all_jpeg)
    whole = evaluation(kind, size)
    if kind == "small":
        return lambda contents, seed: pad_and_crop(whole(contents), seed, mean)
    return lambda contents, seed: whole(contents)


def evaluation(kind: str, size: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """The evaluation form: the shorter side resized, the centre cut out.

    The shorter side becomes 256 / 224 of `size` for photographs, `size` itself otherwise (which
    for a square image is all that happens).

    Args:
        kind: one of `KINDS`.
        size: edge in pixels of what comes out.

    Returns:
        A function of the contents (or pixels) that gives float32, [size, size, 3].
    """
    shorter = round(size * MARGIN) if kind == "photographs" else size
    return lambda contents: _centre(_pixels(contents), shorter, size)


def random_resized_crop(contents: tf.Tensor, seed: tf.Tensor, size: int, all_jpeg: bool = False) -> tf.Tensor:
    """A random part of a photograph, bilinear, [size, size, 3], flipped every other time."""
    chance = tf.random.stateless_uniform([2 * ATTEMPTS + 3], seed)
    crop = images.decode_window(contents, lambda shape: crop_window(shape, chance[1:]), all_jpeg)
    # Flipped before it is resized: a byte a channel is less to move than a float.
    return tf.ensure_shape(_resize(_maybe_flip(crop, chance[0]), size, size), [size, size, 3])


def crop_window(shape: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
    """A window of uniform relative area and log-uniform aspect, anywhere in the image.

    Args:
        shape: of the image: height, width, …
        chance: 2 * ATTEMPTS + 2 numbers in [0, 1).

    Returns:
        int32 [4]: top, left, height, width.
    """
    edges = tf.cast(shape[:2], tf.float32)
    area = (AREA[0] + (AREA[1] - AREA[0]) * chance[:ATTEMPTS]) * tf.reduce_prod(edges)
    low, high = map(math.log, ASPECT)
    aspect = tf.exp(low + (high - low) * chance[ATTEMPTS : 2 * ATTEMPTS])
    windows = tf.sqrt(tf.stack([area / aspect, area * aspect], axis=1))
    fits = tf.reduce_all(tf.round(windows) <= edges, axis=1)
    window = windows[tf.argmax(fits)]
    # In a panorama no attempt may fit: the first one then shrinks until it does.
    window *= tf.minimum(1.0, tf.reduce_min(edges / window))
    window = tf.clip_by_value(tf.round(window), 1.0, edges)
    corner = tf.floor(chance[2 * ATTEMPTS :] * (edges - window + 1))
    return tf.cast(tf.concat([corner, window], axis=0), tf.int32)


def pad_and_crop(image: tf.Tensor, seed: tf.Tensor, mean: Sequence[float]) -> tf.Tensor:
    """A small image shifted by up to `PADDING` pixels each way, flipped every other time.

    Args:
        image: float32, [size, size, 3], the size known.
        seed: int64 [2].
        mean: the colour of the padding.
    """
    chance = tf.random.stateless_uniform([3], seed)
    size = image.shape[0]
    border = [(PADDING, PADDING), (PADDING, PADDING), (0, 0)]
    # The originals pad with zeros behind the normalisation; before it, that is the mean colour.
    colour = np.broadcast_to(np.asarray(mean, np.float32), (size + 2 * PADDING, size + 2 * PADDING, 3)).copy()
    colour[PADDING:-PADDING, PADDING:-PADDING] = 0
    corner = tf.cast(tf.floor(chance[1:] * (2 * PADDING + 1)), tf.int32)
    crop = tf.slice(tf.pad(image, border) + colour, [corner[0], corner[1], 0], [size, size, 3])
    return _maybe_flip(crop, chance[0])


def _pixels(contents: tf.Tensor) -> tf.Tensor:
    """Decoded, unless it is an image already."""
    return images.decode(contents) if contents.dtype == tf.string else contents


def _centre(image: tf.Tensor, shorter: int, size: int) -> tf.Tensor:
    edges = tf.shape(image)[:2]
    edges = edges * shorter // tf.reduce_min(edges)
    image = _resize(image, edges[0], edges[1])
    top, left = tf.unstack((edges - size) // 2)
    return tf.ensure_shape(image[top : top + size, left : left + size], [size, size, 3])


def _resize(image: tf.Tensor, height, width) -> tf.Tensor:
    """Bilinear, without smoothing, as OpenCV's in the released code; float32."""
    return tf.image.resize(image, [height, width], tf.image.ResizeMethod.BILINEAR)


def _maybe_flip(image: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
    # A branch, not a choice between two finished images: half of them are not copied.
    return tf.cond(chance < 0.5, lambda: tf.reverse(image, axis=[1]), lambda: image)
