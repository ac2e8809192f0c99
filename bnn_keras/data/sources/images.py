"""Image files to RGB pixels."""

import os
from collections.abc import Callable

import tensorflow as tf

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
# Images that are decoded at the same time. AUTOTUNE was seen to keep to one core of two for whole epochs.
# Twice as many as cores, because the results keep their order: while one slow image is decoded, those after
# it must be able to go on.
PARALLEL_CALLS = 2 * (os.cpu_count() or 1)


def decode(contents: tf.Tensor) -> tf.Tensor:
    """Decode a whole image to uint8, [height, width, 3]; of an animation, the first frame.

    Alpha is dropped, grey is repeated, 16 bits are reduced to 8. The contents tell the type of the file.

    Args:
        contents: of a JPEG, PNG, BMP or GIF file, a string.

    Raises:
        tf.errors.InvalidArgumentError: the file is broken, truncated or of another type.
    """
    image = tf.cond(
        tf.strings.substr(contents, 0, 2) == b"BM",
        lambda: _decode_bmp(contents),
        lambda: tf.io.decode_image(contents, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(image, [None, None, 3])


def pixels(contents: tf.Tensor) -> tf.Tensor:
    """The decoded image; pixels are returned as they are."""
    return decode(contents) if contents.dtype == tf.string else contents


def decode_window(
    contents: tf.Tensor, choose: Callable[[tf.Tensor], tf.Tensor], all_jpeg: bool = False
) -> tf.Tensor:
    """A window of an image; of a JPEG, only the window is decoded.

    Args:
        contents: as for `decode`, or pixels.
        choose: from the image's shape, int32 [3], to the window: top, left, height, width.
        all_jpeg: all contents are JPEG files; that saves a branch, a few per cent of the pipeline's time.

    Returns:
        [height, width, 3], of the type of the pixels; uint8 for files.
    """

    def from_jpeg() -> tf.Tensor:
        window = choose(tf.image.extract_jpeg_shape(contents))
        return tf.image.decode_and_crop_jpeg(contents, window, channels=3)

    def from_pixels() -> tf.Tensor:
        image = pixels(contents)
        top, left, height, width = tf.unstack(choose(tf.shape(image)))
        return image[top : top + height, left : left + width]

    if contents.dtype != tf.string:
        image = from_pixels()
    elif all_jpeg:
        image = from_jpeg()
    else:
        image = tf.cond(tf.io.is_jpeg(contents), from_jpeg, from_pixels)
    return tf.ensure_shape(image, [None, None, 3])


def _decode_bmp(contents: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_bmp(contents)
    # Of an image with 8 bits a pixel TensorFlow gives the indices and does not read the palette.
    indexed = tf.shape(image)[-1] == 1
    return tf.cond(
        indexed,
        lambda: tf.gather(_bmp_palette(contents), tf.cast(image[..., 0], tf.int32)),
        lambda: image[..., :3],
    )


def _bmp_palette(contents: tf.Tensor) -> tf.Tensor:
    """RGB of each index. In the file the palette, blue, green, red and a zero each, precedes the pixels."""
    pixels, header = tf.unstack(tf.io.decode_raw(tf.strings.substr(contents, 10, 8), tf.int32), num=2)
    start = 14 + header
    palette = tf.io.decode_raw(tf.strings.substr(contents, start, pixels - start), tf.uint8)
    return tf.reshape(palette, [-1, 4])[:, 2::-1]
