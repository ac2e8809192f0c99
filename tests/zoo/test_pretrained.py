"""Published weights: the table, the files, and the networks that they are read into."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras.errors import UserError
from tests.networks import images, randomise
from tests.zoo import published
from tests.zoo.published import NAME, SIZE
from zoo import pretrained, registry
from zoo.pretrained import PRETRAINED

ROOT = Path(__file__).parents[2]
OF_LARQ_ZOO = {
    "meliusnet22": "MeliusNet22",
    "binarydensenet28": "BinaryDenseNet28",
    "binarydensenet37": "BinaryDenseNet37",
    "binarydensenet45": "BinaryDenseNet45",
    "resnete18": "BinaryResNetE18",
}


@pytest.fixture
def served(tmp_path):
    with published.published(tmp_path / "cache") as served:
        yield served


@pytest.fixture
def float64():
    tf.keras.backend.set_floatx("float64")
    yield
    tf.keras.backend.set_floatx("float32")


@pytest.mark.parametrize("name", PRETRAINED)
def test_every_setting_is_known_and_none_is_left_to_a_default_that_depends_on_the_data(name):
    settings = PRETRAINED[name].settings
    complete = registry.all_settings(name, settings)
    assert set(complete) == {"normalization", *zoo.settings_of(name)}
    assert {"stem", "normalization", "binary", "pad_values"} <= set(settings)
    assert registry.pretrained_settings(name, complete) == {**complete, **settings}


def test_larq_zoos_addresses_digests_and_accuracies_are_those_of_its_source():
    import larq_zoo.literature

    assert {name for name, entry in PRETRAINED.items() if entry.sha256} == set(OF_LARQ_ZOO)
    call = r'model="(.+)",\s+version="(.+)",\s+file="(.+)",\s+file_hash="(\w+)"'
    for name, theirs in OF_LARQ_ZOO.items():
        function = getattr(larq_zoo.literature, theirs)
        found = re.findall(call, inspect.getsource(inspect.getmodule(function)))
        entry = PRETRAINED[name]
        addresses = {f"{model}-{version}/{file}": digest for model, version, file, digest in found}
        root, place = entry.address.split("/download/")
        assert root == "https://github.com/larq/zoo/releases" and addresses[place] == entry.sha256
        assert f"| {entry.top1} %" in function.__doc__


@pytest.mark.large
@pytest.mark.parametrize("name", OF_LARQ_ZOO)
def test_larq_zoos_file_gives_its_logits(name, tmp_path, monkeypatch, float64):
    import larq_zoo.literature

    theirs = getattr(larq_zoo.literature, OF_LARQ_ZOO[name])(input_shape=(SIZE, SIZE, 3), weights=None)
    randomise(theirs)
    monkeypatch.setenv("BNN_KERAS_CACHE", str(tmp_path))
    file = tmp_path / pretrained.FOLDER / PRETRAINED[name].file
    file.parent.mkdir()
    theirs.save_weights(file)
    monkeypatch.setitem(PRETRAINED, name, published.known("", file.read_bytes(), name))
    image = images(2, SIZE).astype(float)
    ours = zoo.build(name, (SIZE, SIZE, 3), weights="imagenet")
    expected = published.logits(theirs, image)
    assert np.abs(ours(image).numpy() - expected).max() <= 1e-9 * np.ptp(expected)


def test_the_file_is_downloaded_once_and_a_network_without_classifier_is_filled_too(served):
    model = zoo.build(NAME, (SIZE, SIZE, 3), weights="imagenet")
    features = zoo.build(NAME, (SIZE, SIZE, 3), weights="imagenet", include_top=False)
    assert served.asked == [None]
    kernel = published.theirs().get_layer("section_1_block_0_improve_binconv").get_weights()[0]
    for ours in (model, features):
        (found,) = ours.get_layer("section2_block1_improvement/conv").get_weights()
        np.testing.assert_array_equal(found, kernel)


def test_settings_that_say_the_same_are_taken_and_others_refused(served):
    settings = registry.pretrained_settings(NAME, {"stem_pool": 2, "growth": 64, "normalization": "larq_zoo"})
    assert settings["growth"] == 64 and settings["kernel_clip"] == 1.3
    for key, value in {"stem_pool": 3, "growth": 32, "binary": False, "pad_values": 1.0}.items():
        with pytest.raises(UserError, match=rf"belong to a network with {key}=.*Received: {key}={value}\."):
            zoo.build(NAME, weights="imagenet", **{key: value})
    with pytest.raises(UserError, match="with normalization=larq_zoo. Received: normalization=none"):
        zoo.build(NAME, weights="imagenet", normalization="none")
    with pytest.raises(UserError, match="Unknown setting of meliusnet22 'depth'"):
        zoo.build(NAME, weights="imagenet", depth=3)
    assert served.asked == []


def test_a_network_without_published_weights_names_those_that_have_some():
    names = ", ".join(sorted(PRETRAINED))
    with pytest.raises(UserError, match=f"of 'meliusnet29'; these networks have some: {names}."):
        zoo.build("meliusnet29", weights="imagenet")


def test_a_file_that_only_a_browser_can_get(tmp_path, monkeypatch):
    monkeypatch.setenv("BNN_KERAS_CACHE", str(tmp_path))
    place = tmp_path / "weights" / "bnext_t.pth.tar"
    with pytest.raises(UserError) as error:
        pretrained.find("bnext_t")
    assert "get https://drive.google.com/file/d/" in str(error.value)
    assert str(error.value).endswith(f"/view and save it as {place}.")
    place.parent.mkdir()
    place.touch()
    assert pretrained.find("bnext_t") == place


def test_no_home_and_no_cache(monkeypatch):
    for variable in ("BNN_KERAS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "relative")
    with pytest.raises(UserError, match="no folder for downloads: give one as BNN_KERAS_CACHE"):
        pretrained.find(NAME)


def test_the_documents_have_the_accuracies_of_the_table():
    page = (ROOT / "docs" / "weights.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| (.+) \| (.+) \| (automatic|by hand) \|$", page, re.M)
    assert rows == [
        (name, str(entry.top1), entry.publisher, entry.licence, "automatic" if entry.sha256 else "by hand")
        for name, entry in PRETRAINED.items()
    ]
    table = (ROOT / "README.md").read_text("utf-8")
    shown = re.findall(r"^\| (\w+) \|(?: [\d.e]+ \|){3} ([\d.]+)(?: \(larq-zoo\))? \|$", table, re.M)
    assert len(shown) == 5 and all(PRETRAINED[name].top1 == float(top1) for name, top1 in shown)
