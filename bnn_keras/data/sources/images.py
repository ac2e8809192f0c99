"""Image files to RGB pixels."""

import io
import os
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
NAMES = "JPEG, PNG, BMP, GIF, WebP and TIFF"
# JPEG's transform as Pillow and phones compute it. TensorFlow's usual one differs by up to 14 levels of 255.
EXACT = "INTEGER_ACCURATE"
# Images that are decoded at the same time. AUTOTUNE was seen to keep to one core of two for whole epochs.
# Twice as many as cores, because the results keep their order: while one slow image is decoded, those after
# it must be able to go on.
PARALLEL_CALLS = 2 * (os.cpu_count() or 1)


class Photograph(NamedTuple):
    """The contents of an image file that is not stored upright.

    Args:
        contents: a string, as for `decode`.
        orientation: int64, EXIF's number from 1 to 8.
    """

    contents: tf.Tensor
    orientation: tf.Tensor


Contents: TypeAlias = tf.Tensor | Photograph  # of an image file, or pixels


def decode(contents: tf.Tensor) -> tf.Tensor:
    """Decode a whole image to uint8, [height, width, 3], as it is stored; of an animation, the first frame.

    Alpha is dropped, grey is repeated, 16 bits are reduced to 8. The contents tell the type of the file.

    Args:
        contents: of a JPEG, PNG, BMP or GIF file, a string. `transcode` makes such a file of others.

    Raises:
        tf.errors.InvalidArgumentError: the file is broken, truncated or of another type.
    """
    kinds = [
        (tf.io.is_jpeg(contents), lambda: tf.io.decode_jpeg(contents, channels=3, dct_method=EXACT)),
        (tf.strings.substr(contents, 0, 2) == b"BM", lambda: _decode_bmp(contents)),
    ]
    image = tf.case(kinds, lambda: tf.io.decode_image(contents, channels=3, expand_animations=False))
    return tf.ensure_shape(image, [None, None, 3])


def pixels(contents: Contents) -> tf.Tensor:
    """The decoded image, upright; pixels are returned as they are."""
    if isinstance(contents, Photograph):
        return upright(decode(contents.contents), contents.orientation)
    return decode(contents) if contents.dtype == tf.string else contents


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn and mirror an image, [height, width, channels], as EXIF's orientation says."""

    def turn() -> tf.Tensor:
        swapped, mirrored, flipped = _steps(orientation)
        turned = tf.cond(swapped, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        turned = tf.cond(mirrored, lambda: tf.reverse(turned, [1]), lambda: turned)
        return tf.cond(flipped, lambda: tf.reverse(turned, [0]), lambda: turned)

    return tf.cond(orientation == 1, lambda: image, turn)


def _steps(orientation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Whether rows and columns are swapped, then left and right mirrored, then top and bottom."""
    mirrored, flipped = (tf.reduce_any(orientation == numbers) for numbers in ([2, 3, 6, 7], [3, 4, 7, 8]))
    return orientation >= 5, mirrored, flipped


def decode_window(
    contents: Contents, choose: Callable[[tf.Tensor], tf.Tensor], all_jpeg: bool = False
) -> tf.Tensor:
    """A window of an upright image; of a JPEG, only the window is decoded.

    Args:
        contents: as for `decode`, or pixels.
        choose: from the image's shape, int32 [3], to the window: top, left, height, width.
        all_jpeg: all contents are JPEG files; that saves a branch, a few per cent of the pipeline's time.

    Returns:
        [height, width, 3], of the type of the pixels; uint8 for files.
    """
    if isinstance(contents, Photograph):
        stored = decode_window(
            contents.contents, lambda shape: _stored_window(choose, shape, contents.orientation), all_jpeg
        )
        return tf.ensure_shape(upright(stored, contents.orientation), [None, None, 3])

    def from_jpeg() -> tf.Tensor:
        window = choose(tf.image.extract_jpeg_shape(contents))
        return tf.image.decode_and_crop_jpeg(contents, window, channels=3, dct_method=EXACT)

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


def _stored_window(
    choose: Callable[[tf.Tensor], tf.Tensor], shape: tf.Tensor, orientation: tf.Tensor
) -> tf.Tensor:
    """The place in a stored image, of this shape, of the window that is chosen in the upright one."""
    swapped, mirrored, flipped = _steps(orientation)
    height, width = tf.unstack(tf.where(swapped, tf.reverse(shape[:2], [0]), shape[:2]))
    top, left, rows, columns = tf.unstack(choose(tf.stack([height, width, shape[2]])))
    top = tf.where(flipped, height - top - rows, top)
    left = tf.where(mirrored, width - left - columns, left)
    return tf.where(swapped, tf.stack([left, top, columns, rows]), tf.stack([top, left, rows, columns]))


def read_file(path: tf.Tensor, by_pillow: tf.Tensor | None = None) -> tf.Tensor:
    """The contents of a file that `decode` takes.

    Args:
        path: of an image file.
        by_pillow: bool, whether it has to be transcoded; None if no file has to.
    """
    contents = tf.io.read_file(path)
    return (
        contents if by_pillow is None else tf.cond(by_pillow, lambda: transcode(contents), lambda: contents)
    )


# A graph, in which an exception of Python becomes an error of TensorFlow.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def transcode(contents: tf.Tensor) -> tf.Tensor:
    """Make a BMP file, upright, of a file that Pillow can read and TensorFlow cannot.

    This runs in Python, so a tf.data service cannot do it.

    Args:
        contents: of a WebP or TIFF file, a string.

    Raises:
        tf.errors.OpError: the file is broken, truncated or of another type.
    """
    bmp = tf.numpy_function(_to_bmp, [contents], tf.string, stateful=False)
    return tf.ensure_shape(bmp, [])


def _to_bmp(contents: bytes) -> bytes:
    bmp = io.BytesIO()
    with Image.open(io.BytesIO(contents), formats=("WEBP", "TIFF")) as file:
        _eight_bits(ImageOps.exif_transpose(file)).save(bmp, "BMP")
    return bmp.getvalue()


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image in RGB. Pillow alone cuts values of 16 bits off at 255."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"Images of type {image.mode} have no fixed range of values.")
    return image.convert("RGB")


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
