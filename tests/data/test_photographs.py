"""Photographs as phones take them: orientations, WebP and TIFF, and what an app has to do."""

import dataclasses
import io
import runpy
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from bnn_keras import data
from bnn_keras.data import service
from bnn_keras.data.augment import transforms
from bnn_keras.data.sources import header, images
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import Augmentation
from bnn_keras.settings.preprocessing import Preprocessing

PHOTO = Image.fromarray(load_sample_images().images[0][::4, ::4].copy())
BLOCKS = Image.fromarray(np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3)
prepare = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "phone_input.py"))["prepare"]


def exif(orientation, endian="<"):
    settings = Image.Exif()
    settings.endian = endian
    settings[header.ORIENTATION] = orientation
    return settings.tobytes()


def encoded(image, kind, orientation=1, **options):
    file = io.BytesIO()
    image.save(file, kind, exif=exif(orientation), **options)
    return file.getvalue()


def as_pillow_shows(contents):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(contents))).convert("RGB")).astype(int)


def whole(path, edge):
    """The central square of an image whose sides are not resized."""
    steps = Preprocessing(shorter_side=edge, crop_size=edge, interpolation="bilinear", antialias=False)
    return data.read_prepared(path, steps)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_file_is_read_as_pillow_shows_it(kind, orientation, tmp_path):
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    contents = encoded(PHOTO, kind, orientation, **options)
    (tmp_path / "photo").write_bytes(contents)
    expected = as_pillow_shows(contents)
    corner = (np.array(expected.shape[:2]) - 107) // 2
    expected = expected[corner[0] : corner[0] + 107, corner[1] : corner[1] + 107]
    difference = np.abs(whole(tmp_path / "photo", 107) - expected)
    assert difference.mean() < (2 if kind == "JPEG" else 1e-9)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_window_of_a_turned_image_is_part_of_the_upright_one(orientation, kind):
    contents = encoded(PHOTO, kind, orientation)
    photograph = images.Photograph(tf.constant(contents), tf.constant(orientation, tf.int64))
    upright = images.pixels(photograph).numpy().astype(int)
    shapes = []

    def choose(shape):
        shapes.append(tuple(shape.numpy()))
        return tf.constant([5, 9, 40, 56])

    window = images.decode_window(photograph, choose, all_jpeg=kind == "JPEG")
    assert shapes == [upright.shape]
    # Chroma is interpolated across the window's border in the whole image only.
    assert np.abs(window.numpy() - upright[5:45, 9:65]).max() <= (24 if kind == "JPEG" else 0)
    assert np.abs(window.numpy() - upright[5:45, 9:65]).mean() < 1


@pytest.mark.parametrize("endian", ["<", ">"])
def test_headers_name_format_and_orientation(endian):
    for kind in ("JPEG", "PNG"):
        file = io.BytesIO()
        BLOCKS.save(file, kind, exif=exif(6, endian))
        contents = file.getvalue()
        assert header.of(contents, b"", len(contents)) == (kind.lower(), 6, True)
        at = contents.index(b"II*\0" if endian == "<" else b"MM\0*")
        for damaged in (contents[: at + 12], contents[:at] + b"\xff" * 200):
            assert header.of(damaged, b"", len(damaged)).orientation == 1
    for kind in ("BMP", "GIF", "WEBP"):
        file = io.BytesIO()
        BLOCKS.save(file, kind)
        contents = file.getvalue()
        assert header.of(contents, b"", len(contents)) == (kind.lower(), 1, True)
        assert not header.of(contents[:-3], b"", len(contents) - 3).ends_well
    assert header.of(b"no image", b"", 8) == (None, 1, False)


def test_an_orientation_at_the_end_of_a_large_file_is_found(tmp_path):
    """PNG may have EXIF after the pixels."""
    small = encoded(BLOCKS, "PNG", 8)
    at = small.index(b"eXIf") - 4
    length = 12 + int.from_bytes(small[at : at + 4], "big")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8))
    file = io.BytesIO()
    noise.save(file, "PNG")
    large = file.getvalue()[:-12] + small[at : at + length] + file.getvalue()[-12:]
    (tmp_path / "large.png").write_bytes(large)
    with (tmp_path / "large.png").open("rb") as opened:
        assert header.read(opened) == ("png", 8, True)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
def test_tiff_of_every_mode(mode, tmp_path):
    if mode == "I;16":
        image = Image.fromarray(np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257)
        expected = np.asarray(PHOTO.convert("L").convert("RGB"))
    else:
        image = PHOTO.convert(mode)
        expected = np.asarray(image.convert("RGB"))
    image.save(tmp_path / "a.tiff")
    assert np.array_equal(images.decode(images.transcode((tmp_path / "a.tiff").read_bytes())), expected)


@pytest.mark.parametrize("kind", ["WEBP", "TIFF"])
@pytest.mark.parametrize("left", [0.03, 0.5, 0.9])
def test_damaged_files_of_the_new_formats(kind, left, tmp_path):
    contents = encoded(PHOTO, kind)
    (tmp_path / "half").write_bytes(contents[: int(left * len(contents))])
    with pytest.raises(UserError, match=r"half cannot be decoded: valid are complete JPEG.* WebP and TIFF"):
        whole(tmp_path / "half", 32)


def test_a_tiff_of_real_numbers_is_refused(tmp_path):
    Image.fromarray(np.ones((9, 9), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(UserError, match="cannot be decoded"):
        whole(tmp_path / "a.tiff", 8)


@pytest.fixture
def mixed(tmp_path):
    """A folder in which every class has a JPEG of each orientation, and files that Pillow decodes."""
    for name in ("cat", "dog"):
        folder = tmp_path / name
        folder.mkdir()
        for orientation in range(1, 9):
            (folder / f"{orientation}.jpg").write_bytes(encoded(PHOTO, "JPEG", orientation))
        (folder / "a.webp").write_bytes(encoded(PHOTO, "WEBP", 6))
        (folder / "b.tif").write_bytes(encoded(PHOTO, "TIFF", 3))
        (folder / "wrong_suffix.jpg").write_bytes(encoded(PHOTO, "WEBP"))
    return tmp_path


def test_a_folder_gives_every_image_upright(mixed):
    folder = data.open(f"folder:{mixed}", image_size=32, part="all")
    assert folder.num_test == 22 and folder.tested == "images"
    ((batch, _),) = folder.test(22)
    for path, image in zip(folder.source._test, batch.numpy(), strict=True):
        assert np.array_equal(image, data.read_image(path, "photographs", 32)), path
    trained = data.open(f"folder:{mixed}", image_size=32)
    assert sum(len(labels) for _, labels in trained.train(2, 0, 0)) == trained.num_train == 18


def test_training_crops_are_those_of_the_upright_image():
    transform = transforms.training_transform(Augmentation(), "photographs", 24, (0, 0, 0))
    turned = encoded(PHOTO, "PNG", 6)
    upright = io.BytesIO()
    Image.fromarray(as_pillow_shows(turned).astype(np.uint8)).save(upright, "PNG")
    for i in range(4):
        seed = tf.constant([1, i], tf.int64)
        photograph = images.Photograph(tf.constant(turned), tf.constant(6, tf.int64))
        expected = transform(tf.constant(upright.getvalue()), seed)
        np.testing.assert_allclose(transform(photograph, seed), expected, atol=1e-3)


def test_a_service_refuses_what_it_cannot_decode(mixed):
    with pytest.raises(UserError, match="JPEG, PNG, BMP and GIF images only, and folder:.* has WebP or TIFF"):
        service.check_images(data.open(f"folder:{mixed}", image_size=32))
    service.check_images(data.open("digits", train_examples=10))


ODD = {
    "landscape.png": PHOTO,
    "portrait.webp": PHOTO.crop((20, 0, 50, 107)),
    "tiny.png": PHOTO.crop((0, 0, 7, 5)),
    "pixel.png": PHOTO.crop((0, 0, 1, 1)),
    "panorama.tiff": PHOTO.resize((300, 11)),
    "alpha.png": PHOTO.convert("RGBA"),
    "grey.png": PHOTO.convert("L"),
    "photo.jpg": PHOTO,
    "large.jpg": PHOTO.resize((601, 399)),
}


@pytest.mark.parametrize(("interpolation", "edge"), [("bilinear", 64), ("bilinear", 73), ("bicubic", 73)])
def test_pillow_and_numpy_prepare_an_image_as_the_library_does(interpolation, edge, tmp_path):
    """The tolerances are those that the README states."""
    steps = Preprocessing(
        shorter_side=edge, crop_size=64, interpolation=interpolation, antialias=interpolation == "bicubic"
    )
    manifest = {
        "input": {"preprocessing": dataclasses.asdict(steps), "orientation": "upright", "type": "float32"}
    }
    for name, image in ODD.items():
        image.save(tmp_path / name, exif=exif(6), quality=95)
        expected = data.read_prepared(tmp_path / name, steps)
        difference = np.abs(prepare(tmp_path / name, manifest)[0] - expected)
        assert difference.max() < 1e-3, name
    manifest["input"]["orientation"] = "upside_down"
    turned = prepare(tmp_path / name, manifest)[0, ::-1, ::-1]
    assert np.abs(turned - expected).max() < 1e-3


@pytest.mark.parametrize(
    "change", [{"shorter_side": 31}, {"shorter_side": 10**6}, {"antialias": True}], ids=str
)
def test_steps_that_do_not_fit(change):
    usual = {"shorter_side": 32, "crop_size": 32, "interpolation": "bilinear", "antialias": False}
    with pytest.raises(ValueError, match="does not fit"):
        Preprocessing(**{**usual, **change})
