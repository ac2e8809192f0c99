"""Decoding, crops and evaluation geometry against PIL and NumPy."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from bnn_keras import data
from bnn_keras.data.augment import crops
from bnn_keras.data.augment.transforms import evaluation_transform, training_transform
from bnn_keras.data.sources import images
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import STANDARDS, Augmentation
from bnn_keras.settings.preprocessing import Preprocessing

STANDARD = Augmentation()
CROPS = STANDARDS["photographs"].crop_area, STANDARDS["photographs"].crop_aspect

SMOOTH = np.stack(
    np.broadcast_arrays(np.linspace(0, 255, 90)[:, None], np.linspace(255, 0, 120)[None], 128.0), axis=-1
).astype(np.uint8)


def encoded(mode="RGB", kind="PNG", array=SMOOTH, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).convert(mode).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *((mode, "PNG") for mode in ("RGB", "L", "LA", "RGBA", "P", "1")),
        *((mode, "BMP") for mode in ("RGB", "L", "P", "RGBA", "RGB")),
        ("P", "GIF"),
    ],
)
def test_every_type_gives_the_colours_that_pil_gives(mode, kind):
    contents = encoded(mode, kind)
    expected = np.array(Image.open(io.BytesIO(contents)).convert("RGB"))
    assert np.array_equal(images.decode(tf.constant(contents)), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_is_near_what_pil_gives(mode):
    contents = encoded(mode, "JPEG", quality=95)
    expected = np.array(Image.open(io.BytesIO(contents)).convert("RGB")).astype(int)
    assert np.abs(images.decode(tf.constant(contents)).numpy() - expected).mean() < 2


def test_sixteen_bits_become_eight():
    wide = SMOOTH[..., 0].astype(np.uint16) * 257
    file = io.BytesIO()
    Image.fromarray(wide).save(file, "PNG")
    decoded = images.decode(tf.constant(file.getvalue()))
    assert np.array_equal(decoded, SMOOTH[..., :1].repeat(3, -1))


def test_an_animation_gives_its_first_picture():
    frames = [Image.fromarray(a) for a in (SMOOTH, SMOOTH[::-1].copy())]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    expected = np.array(Image.open(file).convert("RGB"))
    assert np.array_equal(images.decode(tf.constant(file.getvalue())), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
@pytest.mark.parametrize("left", [0, 0.3, 0.9, 0.98])
def test_truncated_is_refused(kind, left):
    contents = encoded("RGB", kind)
    with pytest.raises(tf.errors.InvalidArgumentError):
        images.decode(tf.constant(contents[: int(left * len(contents))]))


@pytest.mark.parametrize(
    ("kind", "all_jpeg"), [("JPEG", True), ("JPEG", False), ("PNG", False), ("BMP", False)]
)
def test_window_is_part_of_the_whole(kind, all_jpeg):
    contents = tf.constant(encoded("RGB", kind))
    shapes = []

    def choose(shape):
        shapes.append(tuple(shape.numpy()))
        return tf.constant([16, 32, 40, 48])

    window = images.decode_window(contents, choose, all_jpeg)
    assert shapes == [(90, 120, 3)]
    # Chroma is interpolated across the window's border in the whole image only.
    whole = images.decode(contents).numpy().astype(int)
    assert np.abs(window.numpy() - whole[16:56, 32:80]).max() <= (4 if kind == "JPEG" else 0)


def windows(shape, count=4000):
    chances = tf.random.stateless_uniform([count, 2 * crops.ATTEMPTS + 2], [1, 2])
    return tf.vectorized_map(lambda chance: crops.window(tf.constant(shape), chance, *CROPS), chances).numpy()


@pytest.mark.parametrize("shape", [(300, 400, 3), (500, 375, 3), (7, 5, 3), (20, 1000, 3), (1, 1, 3)])
def test_windows_lie_within_the_image(shape):
    top, left, height, width = windows(shape, 1000).T
    assert min(top.min(), left.min()) >= 0 and min(height.min(), width.min()) >= 1
    assert (top + height).max() <= shape[0] and (left + width).max() <= shape[1]


def test_windows_are_spread_as_the_paper_says():
    top, left, height, width = windows((3000, 3000, 3)).T
    area, aspect = height * width / 9e6, width / height
    assert 0.0799 < area.min() < 0.09 and 0.95 < area.max() <= 1
    assert 0.7495 < aspect.min() < 0.76 and 1.32 < aspect.max() < 1.3342
    # Areas below 9 / 16 fit at any aspect, so among them nothing is rejected: uniform.
    small = area[area < 0.56]
    assert abs(small.mean() - (0.08 + 0.56) / 2) < 0.01
    assert abs(np.log(aspect).mean()) < 0.02
    loose = np.minimum(3000 - height, 3000 - width) > 100
    down, right = (top / (3001 - height))[loose], (left / (3001 - width))[loose]
    assert abs(down.mean() - 0.5) < 0.02 and abs(right.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.1


def test_panorama_keeps_the_aspect():
    _, _, height, width = windows((100, 3000, 3), 1000).T
    assert np.all((width / height > 0.73) & (width / height < 1.36))


def test_training_crop_is_a_resized_window_half_of_them_flipped():
    contents = tf.constant(encoded("RGB", "PNG"))
    augment = training_transform(STANDARD, "photographs", 24, (0, 0, 0))
    flipped = 0
    for i in range(200):
        seed = tf.constant([3, i], tf.int64)
        chance = tf.random.stateless_uniform([2 * crops.ATTEMPTS + 3], seed)
        top, left, height, width = crops.window(tf.constant(SMOOTH.shape), chance[1:], *CROPS).numpy()
        crop = SMOOTH[top : top + height, left : left + width]
        image = augment(contents, seed).numpy()
        falls = image[:, 0, 1].mean() > image[:, -1, 1].mean()  # green falls from left to right
        flipped += not falls
        assert np.allclose(image, bilinear(crop if falls else crop[:, ::-1], 24, 24), atol=1e-2)
    assert 70 < flipped < 130


def bilinear(image, height, width):
    """Each output pixel's centre in the input, its four neighbours weighed; NumPy only."""

    def along(n_in, n_out):
        at = np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)
        low = np.minimum(at.astype(int), n_in - 1)
        return low, np.minimum(low + 1, n_in - 1), at - low

    (top, bottom, fy), (left, right, fx) = along(image.shape[0], height), along(image.shape[1], width)
    image, fx, fy = image.astype(np.float64), fx[None, :, None], fy[:, None, None]
    rows = image[:, left] * (1 - fx) + image[:, right] * fx
    return rows[top] * (1 - fy) + rows[bottom] * fy


@pytest.mark.parametrize("edges", [(90, 120), (120, 90), (64, 64), (30, 47)])
def test_evaluation_is_the_centre_of_the_resized_photograph(edges):
    image = np.random.default_rng(0).integers(0, 256, (*edges, 3), np.uint8)
    got = evaluation_transform(Preprocessing.of(STANDARD, "photographs", 56))(
        tf.constant(encoded(array=image))
    ).numpy()
    short = min(edges)  # becomes 56 * 256 / 224 = 64
    height, width = (edge * 64 // short for edge in edges)
    top, left = (height - 56) // 2, (width - 56) // 2
    expected = bilinear(image, height, width)[top : top + 56, left : left + 56]
    assert got.shape == (56, 56, 3) and np.allclose(got, expected, atol=1e-2)


def test_evaluation_is_near_what_pil_makes_of_a_smooth_photograph():
    got = evaluation_transform(Preprocessing.of(STANDARD, "photographs", 224))(tf.constant(encoded())).numpy()
    resized = Image.fromarray(SMOOTH).resize((341, 256), Image.Resampling.BILINEAR)
    expected = np.array(resized.crop((58, 16, 58 + 224, 16 + 224))).astype(float)
    assert np.abs(got - expected).max() < 1.5


@pytest.mark.parametrize("kind", ["small", "digits"])
def test_small_images_are_evaluated_as_they_are(kind):
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    contents = tf.constant(encoded(array=image))
    assert np.array_equal(evaluation_transform(Preprocessing.of(STANDARD, kind, 32))(contents), image)
    assert np.allclose(
        evaluation_transform(Preprocessing.of(STANDARD, kind, 48))(contents),
        bilinear(image, 48, 48),
        atol=1e-2,
    )


def test_small_images_are_shifted_over_the_mean_colour():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    mean = (10.5, 20.25, 30.125)
    canvas = np.full((24, 24, 3), mean, np.float32)
    canvas[4:20, 4:20] = image
    valid = {}
    for top in range(9):
        for left in range(9):
            crop = canvas[top : top + 16, left : left + 16]
            valid[crop.tobytes()] = (top, left, False)
            valid[crop[:, ::-1].tobytes()] = (top, left, True)
    augment = training_transform(STANDARD, "small", 16, mean)
    contents = tf.constant(encoded(array=image))
    seen = [valid[augment(contents, tf.constant([1, i], tf.int64)).numpy().tobytes()] for i in range(400)]
    assert {top for top, _, _ in seen} == {left for _, left, _ in seen} == set(range(9))
    assert 150 < sum(flip for _, _, flip in seen) < 250


def test_digits_are_not_augmented():
    contents = tf.constant(encoded(array=SMOOTH[:32, :32]))
    augment = training_transform(STANDARD, "digits", 32, (0, 0, 0))
    for i in range(5):
        assert np.array_equal(augment(contents, tf.constant([1, i], tf.int64)), SMOOTH[:32, :32])


def test_read_image_is_what_evaluation_sees(tmp_path):
    path = tmp_path / "a.dat"  # the content tells the type
    path.write_bytes(encoded("RGB", "JPEG"))
    got = data.read_image(path, "photographs", 56)
    assert isinstance(got, np.ndarray) and got.dtype == np.float32
    assert np.array_equal(
        got,
        evaluation_transform(Preprocessing.of(STANDARD, "photographs", 56))(tf.constant(path.read_bytes())),
    )


def test_read_image_names_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read .*none\.jpg: No such file"):
        data.read_image(tmp_path / "none.jpg", "digits", 32)
    with pytest.raises(UserError, match="Cannot read"):
        data.read_image(tmp_path, "digits", 32)
    (tmp_path / "half.jpg").write_bytes(encoded("RGB", "JPEG")[:900])
    with pytest.raises(UserError, match=r"half\.jpg cannot be decoded: valid are complete JPEG"):
        data.read_image(tmp_path / "half.jpg", "digits", 32)
