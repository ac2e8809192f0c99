"""Every operation on pixels against Pillow, on photographs, over the whole range of its argument."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_image

from bnn_keras.data.augment import crops, operations

FILL = (124, 116, 104)
BILINEAR = Image.Resampling.BILINEAR


def photographs():
    """Both of scikit-learn's, one wide, one high, and a dull one."""
    china, flower = (Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg"))
    yield "china", china.resize((128, 97), BILINEAR)
    yield "flower", flower.resize((64, 113), BILINEAR)
    yield "dull", flower.resize((75, 75), BILINEAR).point(lambda value: 40 + value // 3)


@pytest.fixture(params=[pytest.param(image, id=name) for name, image in photographs()])
def photograph(request):
    return request.param


def difference(operation, expected, photograph):
    """The largest, in grey levels."""
    got = operation(tf.constant(np.array(photograph)))
    assert got.dtype == tf.uint8
    return np.abs(got.numpy().astype(int) - np.array(expected, int)).max()


@pytest.mark.parametrize("name", ["auto_contrast", "equalize", "invert"])
def test_what_takes_no_argument(photograph, name):
    expected = getattr(ImageOps, name.replace("_", ""))(photograph)
    assert difference(getattr(operations, name), expected, photograph) == 0


@pytest.mark.parametrize("name", ["auto_contrast", "equalize"])
@pytest.mark.parametrize("values", [[(7, 7, 7)], [(0, 9, 255)], [(3, 3, 3), (4, 3, 200)]])
def test_images_of_few_colours(name, values):
    flat = np.array([values[i * len(values) // 60] for i in range(60)], np.uint8).reshape(6, 10, 3)
    expected = getattr(ImageOps, name.replace("_", ""))(Image.fromarray(flat))
    assert difference(getattr(operations, name), expected, flat) == 0


def test_posterize(photograph):
    for bits in range(9):
        expected = np.array(photograph) & (0xFF00 >> bits & 0xFF)  # Pillow refuses 0 bits, timm asks for them
        assert (
            difference(lambda x, b=bits: operations.posterize(x, tf.constant(b)), expected, photograph) == 0
        )
        if bits:
            assert np.array_equal(expected, ImageOps.posterize(photograph, bits))


def test_solarize(photograph):
    for threshold in (0, 1, 26, 128, 230, 255, 256):
        expected = ImageOps.solarize(photograph, threshold)
        got = lambda x, t=threshold: operations.solarize(x, tf.constant(t))  # noqa: E731
        assert difference(got, expected, photograph) == 0


def test_solarize_add(photograph):
    for amount in (0, 1, 77, 110, 128):
        table = [min(255, value + amount) if value < 128 else value for value in range(256)]
        expected = photograph.point(table * 3)
        got = lambda x, a=amount: operations.solarize_add(x, tf.constant(a))  # noqa: E731
        assert difference(got, expected, photograph) == 0


@pytest.mark.parametrize("name", ["Color", "Contrast", "Brightness", "Sharpness"])
def test_enhancements(photograph, name):
    operation = getattr(operations, name.lower())
    for factor in np.linspace(0, 2, 9):
        expected = getattr(ImageEnhance, name)(photograph).enhance(factor)
        assert (
            difference(lambda x, f=factor: operation(x, tf.constant(f, tf.float32)), expected, photograph)
            <= 1
        )


def transformed(photograph, *matrix):
    return photograph.transform(
        photograph.size, Image.Transform.AFFINE, matrix, resample=BILINEAR, fillcolor=FILL
    )


def geometric(photograph, amount):
    """What Pillow makes of it, by the name of the operation."""
    width, height = photograph.size
    return {
        "rotate": lambda: photograph.rotate(100 * amount, resample=BILINEAR, fillcolor=FILL),
        "shear_x": lambda: transformed(photograph, 1, amount, 0, 0, 1, 0),
        "shear_y": lambda: transformed(photograph, 1, 0, 0, amount, 1, 0),
        "translate_x": lambda: transformed(photograph, 1, 0, amount * width, 0, 1, 0),
        "translate_y": lambda: transformed(photograph, 1, 0, 0, 0, 1, amount * height),
    }


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
def test_geometry(photograph, name):
    operation = getattr(operations, name)
    for amount in (-0.45, -0.3, -0.071, 0, 0.01, 0.2, 0.3, 0.45):
        expected = geometric(photograph, amount)[name]()
        argument = tf.constant(100 * amount if name == "rotate" else amount, tf.float32)
        # No margin is needed: the edges are Pillow's, and so is the colour beyond them.
        assert difference(lambda x, a=argument: operation(x, a, FILL), expected, photograph) <= 1


def test_hue_and_saturation_as_in_pillows_hsv_images(photograph):
    hue, saturation, value = (np.array(band, int) for band in photograph.convert("HSV").split())
    for turn, more, brighter in ((0, 1, 1), (-0.5, 1, 1), (0.2, 1, 1), (0.5, 1.4, 1), (-0.1, 0.3, 0.6)):
        bands = (
            (hue + int(turn * 255)) % 256,
            np.minimum(saturation * np.float32(more), 255).astype(int),
            np.minimum(value * np.float32(brighter), 255),
        )
        merged = Image.merge("HSV", [Image.fromarray(band.astype(np.uint8)) for band in bands])
        got = lambda x, f=(turn, more, brighter): operations.hsv(x, *map(np.float32, f))  # noqa: E731
        assert difference(got, merged.convert("RGB"), photograph) <= 1


def test_hue_is_a_turn_of_the_circle():
    colours = np.array([[(200, 40, 90), (10, 250, 30), (0, 0, 255), (77, 77, 77)]], np.uint8)
    turned = operations.hsv(tf.constant(colours), 1 / 3, 1.0, 1.0).numpy() / 255
    for before, after in zip(colours[0] / 255, turned[0], strict=True):
        h, s, v = colorsys.rgb_to_hsv(*before)
        # 8 bits of hue are 6 grey levels of a full colour.
        assert np.allclose(after, colorsys.hsv_to_rgb((h + 1 / 3) % 1, s, v), atol=7 / 255)


def test_to_bytes_rounds():
    numbers = tf.constant([0.0, 0.4, 0.6, 254.4, 254.6, 255.0])
    assert operations.to_bytes(numbers).numpy().tolist() == [0, 0, 1, 254, 255, 255]


@pytest.mark.parametrize("edges", [(40, 30), (64, 64), (200, 150)])
def test_bicubic_resizing_smooths_as_pillow_does(edges):
    photograph = Image.fromarray(load_sample_image("flower.jpg")).resize((160, 120), BILINEAR)
    for image, most in ((photograph.point(lambda value: 40 + value // 2), 1.1), (photograph, 4)):
        expected = np.array(image.resize(edges, Image.Resampling.BICUBIC), float)
        got = crops.resize(tf.constant(np.array(image)), edges[1], edges[0], "bicubic").numpy()
        # Pillow rounds between columns and rows; and what overshoots there is cut before the second pass.
        assert got.min() >= 0 and got.max() <= 255 and np.abs(got - expected).max() <= most
        assert np.abs(got - expected).mean() < 0.35
