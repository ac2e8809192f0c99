"""Which part of an image is taken, and how it is resized."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bnn_keras.data.sources import images

ATTEMPTS = 10  # to draw a crop that lies within the image
PADDING = 4  # pixels on each side of a small image


def random_resized_crop(
    contents: images.Contents,
    seed: tf.Tensor,
    size: int,
    area: Sequence[float],
    aspect: Sequence[float],
    interpolation: str = "bilinear",
    flip: bool = True,
    all_jpeg: bool = False,
) -> tf.Tensor:
    """A random part of an image, resized, and mirrored with probability 1/2 (MeliusNet, section 4.1).

    Args:
        contents: of an image file, or pixels.
        seed: int64 [2].
        size: edge in pixels of what comes out.
        area, aspect: see `window`.
        interpolation: see `resize`.
        flip: whether to mirror at all.
        all_jpeg: see `images.decode_window`.

    Returns:
        float32, [size, size, 3].
    """
    chance = tf.random.stateless_uniform([2 * ATTEMPTS + 3], seed)
    crop = images.decode_window(contents, lambda shape: window(shape, chance[1:], area, aspect), all_jpeg)
    # Mirrored before it is resized: bytes are less to move than floats.
    crop = maybe_flip(crop, chance[0]) if flip else crop
    return tf.ensure_shape(resize(crop, size, size, interpolation), [size, size, 3])


def window(shape: tf.Tensor, chance: tf.Tensor, area: Sequence[float], aspect: Sequence[float]) -> tf.Tensor:
    """A window with uniform relative area and log-uniform aspect, anywhere in the image.

    Args:
        shape: of the image: height, width, …
        chance: 2 * ATTEMPTS + 2 random numbers, uniform in [0, 1).
        area: least and largest share of the image.
        aspect: least and largest width over height.

    Returns:
        int32 [4]: top, left, height, width.
    """
    edges = tf.cast(shape[:2], tf.float32)
    pixels = (area[0] + (area[1] - area[0]) * chance[:ATTEMPTS]) * tf.reduce_prod(edges)
    low, high = map(math.log, aspect)
    aspects = tf.exp(low + (high - low) * chance[ATTEMPTS : 2 * ATTEMPTS])
    windows = tf.sqrt(tf.stack([pixels / aspects, pixels * aspects], axis=1))
    fits = tf.reduce_all(tf.round(windows) <= edges, axis=1)
    chosen = windows[tf.argmax(fits)]
    # If no attempt fits, as in a panorama, the first one shrinks until it does.
    chosen *= tf.minimum(1.0, tf.reduce_min(edges / chosen))
    chosen = tf.clip_by_value(tf.round(chosen), 1.0, edges)
    corner = tf.floor(chance[2 * ATTEMPTS :] * (edges - chosen + 1))
    return tf.cast(tf.concat([corner, chosen], axis=0), tf.int32)


def pad_and_crop(image: tf.Tensor, seed: tf.Tensor, mean: Sequence[float], flip: bool = True) -> tf.Tensor:
    """A small image, shifted by up to `PADDING` pixels each way, and mirrored with probability 1/2.

    Args:
        image: float32, [size, size, 3], the size known.
        seed: int64 [2].
        mean: the colour of the padding.
        flip: whether to mirror at all.
    """
    chance = tf.random.stateless_uniform([3], seed)
    size = image.shape[0]
    border = [(PADDING, PADDING), (PADDING, PADDING), (0, 0)]
    # The papers' code pads with zeros after the normalisation; before it, that is the mean colour.
    colour = np.broadcast_to(np.asarray(mean, np.float32), (size + 2 * PADDING, size + 2 * PADDING, 3)).copy()
    colour[PADDING:-PADDING, PADDING:-PADDING] = 0
    corner = tf.cast(tf.floor(chance[1:] * (2 * PADDING + 1)), tf.int32)
    crop = tf.slice(tf.pad(image, border) + colour, [corner[0], corner[1], 0], [size, size, 3])
    return maybe_flip(crop, chance[0]) if flip else crop


def centre(image: tf.Tensor, shorter: int, size: int, interpolation: str = "bilinear") -> tf.Tensor:
    """Resize the shorter side to `shorter` pixels and cut the centre out: float32, [size, size, 3]."""
    edges = tf.shape(image)[:2]
    edges = edges * shorter // tf.reduce_min(edges)
    image = resize(image, edges[0], edges[1], interpolation)
    top, left = tf.unstack((edges - size) // 2)
    return tf.ensure_shape(image[top : top + size, left : left + size], [size, size, 3])


def resize(
    image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor, interpolation: str = "bilinear"
) -> tf.Tensor:
    """Resize an image; float32.

    "bilinear" does not smooth an image that becomes smaller, like OpenCV in MeliusNet's released code.
    "bicubic" does, like Pillow in BNext's.
    """
    if interpolation == "bilinear":
        return tf.image.resize(image, [height, width], tf.image.ResizeMethod.BILINEAR)
    resized = tf.image.resize(image, [height, width], tf.image.ResizeMethod.BICUBIC, antialias=True)
    return tf.clip_by_value(resized, 0, 255)  # it overshoots at edges


def maybe_flip(image: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
    """The image, mirrored if `chance` is below one half."""
    # tf.cond, not tf.where: an image that is not mirrored is not copied.
    return tf.cond(chance < 0.5, lambda: tf.reverse(image, axis=[1]), lambda: image)
