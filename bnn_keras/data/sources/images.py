"""Image files to RGB pixels."""

from collections.abc import Callable

import tensorflow as tf

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")


def decode(contents: tf.Tensor) -> tf.Tensor:
    """A whole image, uint8, [height, width, 3]; of an animation the first picture.

    Alpha is dropped, grey repeated, 16 bits cut to 8. The type is told by the content.

    Args:
        contents: of a JPEG, PNG, BMP or GIF file, a string.

    Raises:
        tf.errors.InvalidArgumentError: broken, truncated or another type.
    """
    image = tf.cond(
        tf.strings.substr(contents, 0, 2) == b"BM",
        lambda: _decode_bmp(contents),
        lambda: tf.io.decode_image(contents, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(image, [None, None, 3])


def pixels(contents: tf.Tensor) -> tf.Tensor:
    """Decoded, unless it is an image already."""
    return decode(contents) if contents.dtype == tf.string else contents


def decode_window(
    contents: tf.Tensor, choose: Callable[[tf.Tensor], tf.Tensor], all_jpeg: bool = False
) -> tf.Tensor:
    """A window of an image; of a JPEG nothing else is decoded.

    Args:
        contents: as for `decode`, or pixels.
        choose: from the image's shape, int32 [3], to the window: top, left, height, width.
        all_jpeg: nothing else comes; that saves a branch, a few per cent of the pipeline's time.

    Returns:
        [height, width, 3], uint8 unless they were other pixels.
    """

    def jpeg():
        window = choose(tf.image.extract_jpeg_shape(contents))
        return tf.image.decode_and_crop_jpeg(contents, window, channels=3)

    def other():
        image = pixels(contents)
        top, left, height, width = tf.unstack(choose(tf.shape(image)))
        return image[top : top + height, left : left + width]

    if contents.dtype != tf.string:
        image = other()
    else:
        image = jpeg() if all_jpeg else tf.cond(tf.io.is_jpeg(contents), jpeg, other)
    return tf.ensure_shape(image, [None, None, 3])


def _decode_bmp(contents: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_bmp(contents)
    # With 8 bits a pixel TensorFlow gives indices and leaves the palette unread.
    indexed = tf.shape(image)[-1] == 1
    return tf.cond(
        indexed,
        lambda: tf.gather(_bmp_palette(contents), tf.cast(image[..., 0], tf.int32)),
        lambda: image[..., :3],
    )


def _bmp_palette(contents: tf.Tensor) -> tf.Tensor:
    """RGB of each index: between the headers and the pixels, blue, green, red and a zero each."""
    pixels, header = tf.unstack(tf.io.decode_raw(tf.strings.substr(contents, 10, 8), tf.int32), num=2)
    start = 14 + header
    palette = tf.io.decode_raw(tf.strings.substr(contents, start, pixels - start), tf.uint8)
    return tf.reshape(palette, [-1, 4])[:, 2::-1]
