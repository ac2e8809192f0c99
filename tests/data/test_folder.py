"""Folders of images: splits, odd files, and what a user can get wrong."""

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from bnn_keras import data
from bnn_keras.errors import UserError


def picture(seed, mode="RGB", kind="JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def fill(root, **counts):
    """Folders named by class with so many JPEGs each."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (root / name / f"{i:03}.jpg").write_bytes(picture(i))
    return root


def opened(root, **options):
    return data.open(f"folder:{root}", image_size=16, **options)


def test_split_is_disjoint_stratified_and_stays(tmp_path):
    folder = opened(fill(tmp_path, cat=40, dog=10, emu=2))
    train, test = folder.source._train, folder.source._test
    assert not set(train) & set(test) and len(train) + len(test) == 52
    held_out = {name: sum(p.parent.name == name for p in test) for name in folder.class_names}
    assert held_out == {"cat": 8, "dog": 2, "emu": 1}
    assert (folder.num_train, folder.num_test) == (41, 11)
    again = opened(shutil.copytree(tmp_path, tmp_path / "elsewhere" / "copy"))
    assert [p.relative_to(tmp_path) for p in test] == [
        p.relative_to(tmp_path / "elsewhere" / "copy") for p in again.source._test
    ]


def test_test_set_has_the_right_labels(tmp_path):
    folder = opened(fill(tmp_path, cat=4, dog=9))
    labels = np.concatenate([y for _, y in folder.test(5)])
    assert [folder.class_names[i] for i in labels] == [p.parent.name for p in folder.source._test]


@pytest.mark.parametrize("name", ["val", "validation", "test"])
def test_given_split_is_kept(tmp_path, name):
    fill(tmp_path / "train", cat=3, dog=4)
    fill(tmp_path / name, cat=1, dog=2)
    folder = opened(tmp_path)
    assert (folder.num_train, folder.num_test, folder.class_names) == (7, 3, ("cat", "dog"))
    assert {p.parent.parent.name for p in folder.source._test} == {name}
    assert {p.parent.parent.name for p in folder.source._train} == {"train"}


def test_the_first_held_out_images_and_every_nth_are_of_all_classes(tmp_path):
    """Conversion compares the first ones, and the report shows every n-th."""
    fill(tmp_path / "train", cat=1, dog=1)
    fill(tmp_path / "val", cat=30, dog=30)
    folder = opened(tmp_path)
    assert {int(label) for label in np.concatenate([y for _, y in folder.test(8, limit=8)])} == {0, 1}
    for step in (2, 3, 6):
        assert {p.parent.name for p in folder.source._test[::step]} == {"cat", "dog"}


def test_fewer_examples_keep_the_proportions(tmp_path):
    fill(tmp_path, cat=50, dog=25)
    folder = opened(tmp_path, train_examples=12)
    assert folder.num_train == 12 and folder.num_test == 15
    assert sum(p.parent.name == "cat" for p in folder.source._train) == 8
    with pytest.raises(UserError, match="from 1 to 60.*Received: 61"):
        opened(tmp_path, train_examples=61)


def test_every_type_trains(tmp_path, capfd):
    fill(tmp_path, cat=2, dog=2)
    odd = {
        "grey.JPG": picture(1, "L"),
        "alpha.png": picture(2, "RGBA", "PNG"),
        "palette.PNG": picture(3, "P", "PNG"),
        "p.bmp": picture(4, "P", "BMP"),
        "g.gif": picture(5, "P", "GIF"),
        "wrong_suffix.jpeg": picture(6, "RGB", "PNG"),
    }
    for name, contents in odd.items():
        (tmp_path / "cat" / name).write_bytes(contents)
    folder = opened(tmp_path)
    assert folder.num_train + folder.num_test == 10 and not folder.source.all_jpeg
    assert sum(len(y) for _, y in folder.train(1, 0, 0)) == folder.num_train
    assert "skipped" not in capfd.readouterr().err


def test_only_jpegs_are_known_as_such(tmp_path):
    assert opened(fill(tmp_path, cat=2, dog=2)).source.all_jpeg


def test_broken_images_are_named_counted_and_skipped(tmp_path, capfd):
    fill(tmp_path, cat=10, dog=10)
    whole = (tmp_path / "cat" / "003.jpg").read_bytes()
    (tmp_path / "cat" / "003.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "dog" / "007.jpg").write_bytes(b"no image at all")
    (tmp_path / "dog" / "008.jpg").write_bytes(b"")
    folder = opened(tmp_path)
    message = next(line for line in capfd.readouterr().err.splitlines() if line.startswith("skipped"))
    assert message.startswith("skipped 3 of 20 images: ")
    assert all(name in message for name in ("cat/003.jpg", "dog/007.jpg", "dog/008.jpg"))
    assert folder.num_train + folder.num_test == 17
    assert sum(len(y) for _, y in folder.train(1, 0, 0)) == folder.num_train
    with pytest.raises(UserError, match=r"Cannot decode 3 of 20 images: .*cat/003\.jpg"):
        opened(tmp_path, strict=True)


def test_files_of_other_types_are_counted(tmp_path, capfd):
    fill(tmp_path, cat=3, dog=3)
    (tmp_path / "cat" / "a.svg").write_bytes(b"")
    (tmp_path / "dog" / "b.svg").write_bytes(b"")
    (tmp_path / "dog" / ".DS_Store").write_bytes(b"")
    (tmp_path / ".hidden").mkdir()
    assert opened(tmp_path).num_train == 4
    line = next(line for line in capfd.readouterr().err.splitlines() if "left out" in line)
    assert line.endswith("2 .svg") and "DS_Store" not in line


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match="There is no folder '.*/none'.*one subfolder for each class"):
        opened(tmp_path / "none")


@pytest.mark.parametrize("classes", [{}, {"cat": 3}])
def test_too_few_classes(tmp_path, classes):
    with pytest.raises(UserError, match=rf"has {len(classes)} subfolder\(s\).*needs two classes"):
        opened(fill(tmp_path, **classes))


@pytest.mark.parametrize("count", [0, 1])
def test_class_with_too_few_images(tmp_path, count):
    with pytest.raises(
        UserError, match=rf"Class 'dog' .* has {count} usable image\(s\).*at least 2.*hold out"
    ):
        opened(fill(tmp_path, cat=3, dog=count))


def test_class_of_a_given_split_without_images(tmp_path):
    fill(tmp_path / "train", cat=3, dog=0)
    fill(tmp_path / "val", cat=1, dog=1)
    with pytest.raises(UserError, match="Class 'dog' .* needs at least 1: one to train on"):
        opened(tmp_path)


def test_class_whose_images_are_all_broken(tmp_path, capsys):
    fill(tmp_path, cat=3, dog=2)
    (tmp_path / "dog" / "000.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match="Class 'dog' .* has 1 usable"):
        opened(tmp_path)
    assert not capsys.readouterr().err  # one sentence is enough


def test_given_split_with_an_unknown_class_or_nothing(tmp_path):
    fill(tmp_path / "train", cat=3, dog=3)
    fill(tmp_path / "val", cat=0)
    with pytest.raises(UserError, match="val has no images"):
        opened(tmp_path)
    fill(tmp_path / "val", emu=1)
    with pytest.raises(UserError, match="has a class without training images: 'emu'"):
        opened(tmp_path)


def test_names_that_are_not_utf8(tmp_path):
    """They are read as the bytes that they are, and shown with escapes."""
    fill(tmp_path, cat=3, dog=3)
    cat = tmp_path / os.fsdecode(b"caf\xe9\n")
    (tmp_path / "cat").rename(cat)
    for file in list(cat.iterdir()):
        file.rename(cat / os.fsdecode(b"\xff" + os.fsencode(file.name)))
    moved = tmp_path.with_name(os.fsdecode(b"moved\xff"))
    tmp_path.rename(moved)
    dataset = opened(moved)
    assert dataset.class_names == (r"caf\xe9\n", "dog") and dataset.num_train + dataset.num_test == 6
    images, _ = next(dataset.train(4, 0, 0).as_numpy_iterator())
    assert images.shape == (4, 16, 16, 3)
    first = next(moved.glob("caf*/*"))
    assert data.read_image(first, "photographs", 32).shape == (32, 32, 3)


def test_folders_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="There is no folder '~nobody-at-all/images'"):
        data.open("folder:~nobody-at-all/images")
    with pytest.raises(UserError, match="Cannot read a+: File name too long"):
        data.open(f"folder:{'a' * 300}")
    fill(tmp_path, cat=3, dog=3)
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    assert opened(tmp_path).num_train == 4
    with pytest.raises(UserError, match="pipe.png: it is not a regular file"):
        data.read_image(tmp_path / "dog" / "pipe.png", "photographs", 32)
    listdir, scandir = os.listdir, os.scandir

    def closed(inner):
        def read(path="."):
            if os.fspath(path).endswith("dog"):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return inner(path)

        return read

    monkeypatch.setattr(os, "listdir", closed(listdir))
    monkeypatch.setattr(os, "scandir", closed(scandir))
    with pytest.raises(UserError, match="Cannot read .*/dog: Permission denied"):
        opened(tmp_path)
