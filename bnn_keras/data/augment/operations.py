"""Pillow's image operations on tensors, with the same results in every pixel, rounding included.

Images are RGB, uint8, [height, width, 3], before and after. Factors, angles and amounts are scalars, drawn
while the pipeline runs; `fill` is the colour of the pixels that come from outside the image.

Source: ImageOps, ImageEnhance and Image.transform of Pillow, which timm's augmentation calls.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

# The weights of red, green and blue in grey, times 2**16: sums of such products are exact in float32.
LUMA = (19595.0, 38470.0, 7471.0)
HUES = 255.0  # Pillow's scale of hue and saturation


def auto_contrast(image: tf.Tensor) -> tf.Tensor:
    """Stretch every channel to the whole range."""
    pixels = tf.reshape(image, [-1, 3])
    low = tf.cast(tf.reduce_min(pixels, axis=0), tf.float64)[:, None]
    high = tf.cast(tf.reduce_max(pixels, axis=0), tf.float64)[:, None]
    identity = tf.range(256, dtype=tf.float64)[None]
    scale = 255 / tf.maximum(high - low, 1)
    # Pillow computes in this order and truncates: its results may be one below the exact ones.
    stretched = identity * scale + -low * scale
    return _look_up(image, tf.where(high > low, stretched, identity))


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Make the histogram of every channel as flat as possible."""
    values = tf.transpose(tf.reshape(tf.cast(image, tf.int32), [-1, 3]))
    histogram = tf.math.bincount(values, minlength=256, maxlength=256, axis=-1)
    last = tf.gather(histogram, tf.reduce_max(values, axis=1), batch_dims=1)
    step = (tf.reduce_sum(histogram, axis=1) - last)[:, None] // 255
    before = step // 2 + tf.cumsum(histogram, axis=1, exclusive=True)
    table = tf.where(step > 0, before // tf.maximum(step, 1), tf.range(256)[None])
    return _look_up(image, table)


def invert(image: tf.Tensor) -> tf.Tensor:
    """The negative."""
    return 255 - image


def posterize(image: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keep the upper `bits` (int32, 0 to 8) of every value."""
    mask = 256 - tf.bitwise.left_shift(1, 8 - bits)
    return tf.bitwise.bitwise_and(image, tf.cast(mask, tf.uint8))


def solarize(image: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Invert the values from `threshold` (int32, 0 to 256) on."""
    above = tf.cast(tf.cast(image, tf.int32) >= threshold, tf.uint8)
    return tf.bitwise.bitwise_xor(image, 255 * above)


def solarize_add(image: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Add `amount` (int32, 0 to 128) to the values below 128."""
    return image + tf.cast(image < 128, tf.uint8) * tf.cast(amount, tf.uint8)


def color(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Change the saturation: 0 is grey, 1 is the image."""
    return _blend(_grey(image)[..., None], image, factor)


def contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Change the contrast: 0 is the mean grey everywhere, 1 is the image."""
    grey = tf.cast(_grey(image), tf.int32)
    return _blend(tf.floor(tf.cast(tf.reduce_sum(grey) / tf.size(grey), tf.float32) + 0.5), image, factor)


def brightness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Change the brightness: 0 is black, 1 is the image."""
    return _blend(0.0, image, factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Change the sharpness: 0 is smoothed by a 3 x 3 filter, 1 is the image; the outermost pixels stay."""
    pixels = tf.cast(image, tf.float32)
    rows = pixels[:-2] + pixels[1:-1] + pixels[2:]
    box = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    inner = image[1:-1, 1:-1]
    smooth = tf.floor((box + 4 * pixels[1:-1, 1:-1]) / 13 + 0.5)
    inner = _blend(smooth, inner, factor)
    middle = tf.concat([image[1:-1, :1], inner, image[1:-1, -1:]], axis=1)
    return tf.concat([image[:1], middle, image[-1:]], axis=0)


def rotate(image: tf.Tensor, degrees: tf.Tensor, fill: Sequence[int]) -> tf.Tensor:
    """Rotate counterclockwise around the centre, bilinear."""
    angle = degrees * (math.pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    y, x = _places(image)
    y, x = y - y.mean(), x - x.mean()
    height, width = image.shape[:2]
    down = (height - 1) / 2 + sine * x + cosine * y
    right = (width - 1) / 2 + cosine * x - sine * y
    return _sample(image, down, right, fill)


def shear_x(image: tf.Tensor, factor: tf.Tensor, fill: Sequence[int]) -> tf.Tensor:
    """Move every row left by `factor` times its distance from the top, bilinear."""
    y, x = _places(image)
    return _sample(image, y, x + factor * (y + 0.5), fill)


def shear_y(image: tf.Tensor, factor: tf.Tensor, fill: Sequence[int]) -> tf.Tensor:
    """Move every column up by `factor` times its distance from the left, bilinear."""
    y, x = _places(image)
    return _sample(image, y + factor * (x + 0.5), x, fill)


def translate_x(image: tf.Tensor, share: tf.Tensor, fill: Sequence[int]) -> tf.Tensor:
    """Move left by a share of the width, bilinear."""
    y, x = _places(image)
    return _sample(image, y, x + share * image.shape[1], fill)


def translate_y(image: tf.Tensor, share: tf.Tensor, fill: Sequence[int]) -> tf.Tensor:
    """Move up by a share of the height, bilinear."""
    y, x = _places(image)
    return _sample(image, y + share * image.shape[0], x, fill)


def hsv(image: tf.Tensor, hue: tf.Tensor, saturation: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Turn the hue by a share of the colour circle, -1 to 1; multiply saturation and value.

    Hue and saturation are rounded to 8 bits in between, as in Pillow's HSV images.
    """
    h, s, v = _to_hsv(image)
    h = tf.math.floormod(h + tf.cast(tf.cast(hue * HUES, tf.int32), tf.float32), 256)
    s, v = tf.floor(tf.minimum(s * saturation, HUES)), tf.minimum(v * value, 255)
    # A hue of 255 is red again, as 0 is.
    turned = tf.image.hsv_to_rgb(tf.stack([tf.math.floormod(h / HUES, 1), s / HUES, v], axis=-1))
    return to_bytes(turned)


def to_bytes(image: tf.Tensor) -> tf.Tensor:
    """Round numbers from 0 to 255 to uint8."""
    return tf.cast(image + 0.5, tf.uint8)


def _grey(image: tf.Tensor) -> tf.Tensor:
    """The grey values, whole numbers, float32, [height, width]."""
    return tf.floor((tf.linalg.matvec(tf.cast(image, tf.float32), LUMA) + 2**15) / 2**16)


def _to_hsv(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Hue, saturation and value, whole numbers from 0 to 255, float32, [height, width] each."""
    pixels = tf.cast(image, tf.float32)
    value = tf.reduce_max(pixels, axis=-1)
    spread = value - tf.reduce_min(pixels, axis=-1)
    below = (value[..., None] - pixels) / tf.maximum(spread, 1)[..., None]
    red, green, blue = tf.unstack(tf.cast(below, tf.float64), axis=-1)
    sextant = tf.where(red == 0, blue - green, tf.where(green == 0, 2 + red - blue, 4 + green - red))
    turn = tf.math.floormod(_single(sextant) / 6 + 1, 1)
    hue = tf.where(spread > 0, turn, 0)
    return _eight_bits(hue), _eight_bits(spread / tf.maximum(value, 1)), value


def _eight_bits(share: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.floor(_single(share) * HUES), tf.float32)


def _single(number: tf.Tensor) -> tf.Tensor:
    """float64 rounded to single precision, as Pillow stores intermediate results."""
    return tf.cast(tf.cast(number, tf.float32), tf.float64)


def _blend(other: tf.Tensor | float, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Interpolate: 0 is the other image, 1 is this one, above 1 extrapolates; truncated, not rounded."""
    blended = other + factor * (tf.cast(image, tf.float32) - other)
    return tf.cast(tf.clip_by_value(blended, 0, 255), tf.uint8)


def _look_up(image: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Replace the values of each channel by those in its row of `table`, [3, 256]."""
    table = tf.cast(tf.clip_by_value(table, 0, 255), tf.uint8)
    rows = tf.constant([0, 256, 512])
    return tf.gather(tf.reshape(table, [-1]), rows + tf.cast(image, tf.int32))


def _places(image: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The row, [height, 1], and the column, [1, width], of every pixel, float32."""
    height, width = image.shape[:2]
    return np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]


def _sample(
    image: tf.Tensor, y: np.ndarray | tf.Tensor, x: np.ndarray | tf.Tensor, fill: Sequence[int]
) -> tf.Tensor:
    """Take every pixel from another place, bilinear; the outer half of a border pixel is as its centre.

    Args:
        image: its shape is known.
        y, x: row and column of that place, float32. Together they have the shape of the image. An array
            holds whole numbers, which need no interpolation.
        fill: the colour outside the image.
    """
    height, width = image.shape[:2]
    inside = (y >= -0.5) & (y < height - 0.5) & (x >= -0.5) & (x < width - 0.5)
    pixels = tf.concat([tf.reshape(image, [-1, 3]), [tf.cast(fill, tf.uint8)]], axis=0)

    def pixel(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        place = tf.clip_by_value(row, 0, height - 1) * width + tf.clip_by_value(column, 0, width - 1)
        return tf.cast(tf.gather(pixels, tf.where(inside, place, height * width)), tf.float32)

    def row_at(row: tf.Tensor) -> tf.Tensor:
        return _interpolated(partial(pixel, row), x)

    return to_bytes(_interpolated(row_at, y))


def _interpolated(take: Callable[[tf.Tensor], tf.Tensor], place: np.ndarray | tf.Tensor) -> tf.Tensor:
    """What `take` gives at whole places; linear between them."""
    if isinstance(place, np.ndarray):
        return take(tf.constant(place, tf.int32))
    low = tf.floor(place)
    first = tf.cast(low, tf.int32)
    before, after = take(first), take(first + 1)
    return before + (place - low)[..., None] * (after - before)
