"""What is known of the files of a folder: headers at first, all of it with strict, and the cache."""

import json
import os
import shutil

import pytest

from bnn_keras import data
from bnn_keras.cache import VARIABLE
from bnn_keras.data.sources import checking
from bnn_keras.errors import UserError
from tests.data.test_folder import fill, opened, picture


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch):
    """How many files were decoded at each start."""
    numbers = []
    decode = checking._decode
    monkeypatch.setattr(checking, "_decode", lambda found: numbers.append(len(found)) or decode(found))
    return numbers


def damage(path):
    """Bytes of the middle are lost; both ends are in order."""
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes(len(content) - 210) + content[-10:])


def test_a_start_reads_headers_and_decodes_what_is_doubtful(tmp_path, cache, decoded):
    root = fill(tmp_path / "images", cat=5, dog=5)
    whole = (root / "cat" / "000.jpg").read_bytes()
    (root / "cat" / "000.jpg").write_bytes(whole + b"a film that the phone added")
    (root / "cat" / "001.jpg").write_bytes(whole[:-50])
    for expected in (2, 0):
        folder = opened(root)
        assert decoded.pop() == expected and folder.num_train + folder.num_test == 9
    (root / "cat" / "001.jpg").write_bytes(whole)
    assert opened(root).num_train == 8 and decoded == [0]


def test_strict_decodes_every_file_once(tmp_path, cache, decoded, capfd):
    root = fill(tmp_path / "images", cat=5, dog=5)
    damage(root / "cat" / "000.jpg")
    (root / "cat" / "000.png").write_bytes(picture(1, kind="PNG"))
    damage(root / "cat" / "000.png")
    opened(root)
    assert "skipped" not in capfd.readouterr().err
    for expected in (11, 0):
        with pytest.raises(UserError, match=r"Cannot decode \d of 11 images: .*cat/000.png"):
            opened(root, strict=True)
        assert decoded.pop() == expected
    opened(root)
    assert "cat/000.png" in capfd.readouterr().err


def test_an_image_that_fails_later_is_named_and_left_out_after_that(tmp_path, cache):
    root = fill(tmp_path / "images", cat=5, dog=5)
    (root / "cat" / "000.png").write_bytes(picture(1, kind="PNG"))
    damage(root / "cat" / "000.png")
    folder = data.open(f"folder:{root}", image_size=16, part="all")
    named = pytest.raises(UserError, match=r"Cannot decode 1 images of .*cat/000\.png; the next start leaves")
    with named, folder.decoding():
        list(folder.test(4))
    assert data.open(f"folder:{root}", image_size=16, part="all").num_test == 10
    with pytest.raises(ZeroDivisionError), folder.decoding():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"cat/000.jpg": [1, 2]}', '{"a": [1, 2, "exe", 1, true]}']
)
def test_a_damaged_cache_is_made_anew(content, tmp_path, cache, capsys):
    root = fill(tmp_path / "images", cat=3, dog=3)
    opened(root)
    (file,) = cache.glob("*/*.json")
    good = file.read_text()
    file.write_text(content)
    assert opened(root).num_train == 4
    assert file.read_text() == good and str(file) in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    assert opened(fill(tmp_path / "images", cat=3, dog=3)).num_train == 4
    assert "The next start checks the files again; BNN_KERAS_CACHE names" in capsys.readouterr().err


def test_where_the_cache_lies(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert checking.cache_file(tmp_path).parent == tmp_path / ".cache" / "bnn-keras" / "folders"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert checking.cache_file(tmp_path).parent == tmp_path / "xdg" / "bnn-keras" / "folders"
    assert checking.cache_file(tmp_path) == checking.cache_file(tmp_path / "x" / "..")


def test_nothing_is_written_into_the_folder_and_names_need_not_be_utf8(tmp_path, cache, decoded):
    root = fill(tmp_path / "images", cat=3, dog=3)
    os.rename(root / "cat" / "000.jpg", os.fsencode(root / "cat") + b"/\xff.jpg")
    before = sorted(map(str, root.rglob("*")))
    assert opened(root).num_train == opened(root).num_train == 4 and decoded == [0, 0]
    assert sorted(map(str, root.rglob("*"))) == before
    (file,) = cache.glob("*/*.json")
    assert len(json.loads(file.read_text())) == 6


def test_the_parts_that_a_user_made(tmp_path):
    fill(tmp_path / "train", cat=3, dog=4)
    fill(tmp_path / "validation", cat=1, dog=2)
    fill(tmp_path / "test", dog=5)
    folder = opened(tmp_path)
    assert (folder.num_train, folder.num_test) == (7, 3)
    numbers = {part: opened(tmp_path, part=part).num_test for part in ("train", "val", "test", "all")}
    assert numbers == {"train": 7, "val": 3, "test": 5, "all": 15}
    shutil.rmtree(tmp_path / "train")
    shutil.rmtree(tmp_path / "test")
    assert opened(tmp_path, part="all").num_test == opened(tmp_path, part="val").num_test == 3
    with pytest.raises(UserError, match="has no subfolder train, only val"):
        opened(tmp_path)
    with pytest.raises(UserError, match="Unknown part of .* 'test'; valid: val, all"):
        opened(tmp_path, part="test")


def test_a_folder_without_parts_has_those_of_a_training(tmp_path):
    root = fill(tmp_path, cat=10, dog=20)
    assert {part: opened(root, part=part).num_test for part in ("train", "val", "all")} == {
        "train": 24,
        "val": 6,
        "all": 30,
    }
    assert set(opened(root, part="val").source._test) == set(opened(root).source._test)
    with pytest.raises(UserError, match="has no test images"):
        opened(root, part="test")
    with pytest.raises(UserError, match="Only of folder:PATH can a part be chosen. Received: all of digits"):
        data.open("digits", part="all")


def test_a_class_may_be_called_train(tmp_path):
    assert opened(fill(tmp_path, train=3, bicycle=3)).class_names == ("bicycle", "train")


def test_the_first_images_of_a_measured_folder_have_all_classes(tmp_path):
    folder = opened(fill(tmp_path, cat=10, dog=20), part="all")
    labels = next(folder.test(6).as_numpy_iterator())[1]
    assert sorted(labels) == [0, 0, 1, 1, 1, 1]


def test_classes_match_by_name(tmp_path):
    folder = opened(fill(tmp_path, dog=2, emu=1), part="all").with_classes(["emu", "cat", "dog"])
    assert folder.class_names == ("emu", "cat", "dog") and folder.num_test == 3
    labels = next(folder.test(3).as_numpy_iterator())[1]
    assert sorted(labels) == [0, 2, 2]
    with pytest.raises(
        UserError, match=r"has the class 'emu', which the network does not know; .* cat, dog\."
    ):
        opened(tmp_path, part="all").with_classes(["cat", "dog"])
