"""Weights against the framework they come from, and files that must not be read."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import weights
from bnn_keras.errors import UserError
from tests.networks import TWO_SECTIONS, randomise

TINY = dict(input_shape=(32, 32, 3), **TWO_SECTIONS)


def tiny(classes=4, **overrides):
    return zoo.build("meliusneta", classes=classes, **{**TINY, **overrides})


def same(a, b):
    return len(a.weights) == len(b.weights) and all(
        np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True)
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    model = tiny()
    randomise(model)
    model.save(folder / "best.keras")
    model.save_weights(folder / "tiny.weights.h5")
    return model, folder


@pytest.fixture(scope="module")
def other():
    """A network that takes weights."""
    return tiny()


@pytest.fixture(scope="module")
def of_7_classes():
    return tiny(classes=7)


@pytest.mark.parametrize("name", ["best.keras", "tiny.weights.h5", ""])
def test_own_files_give_the_same_weights(source, other, name):
    model, folder = source
    randomise(other, seed=1)
    assert not same(model, other)
    assert "weights from" in weights.load(other, folder / name)
    assert same(model, other)


def test_a_saved_model_loads_without_the_zoo_and_computes_the_same(source):
    model, folder = source
    image = np.random.default_rng(1).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(weights.read_model(folder)(image), model(image))


@pytest.mark.parametrize("name", ["best.keras", "tiny.weights.h5"])
def test_new_head_keeps_its_own_weights_and_takes_the_rest(source, of_7_classes, name):
    model, folder = source
    other = randomise(of_7_classes, seed=1)
    head = other.get_layer("head").get_weights()
    with pytest.raises(UserError, match="does not fit at"):
        weights.load(other, folder / name)
    assert "new head (the file's has 4 classes)" in weights.load(other, folder / name, new_head=True)
    for now, before in zip(other.get_layer("head").get_weights(), head, strict=True):
        np.testing.assert_array_equal(now, before)
    np.testing.assert_array_equal(
        other.get_layer("section2_block1_dense/conv").get_weights()[0],
        model.get_layer("section2_block1_dense/conv").get_weights()[0],
    )


def test_a_model_without_its_classifier_takes_the_rest(source):
    model, folder = source
    features = tiny(include_top=False)
    weights.load(features, folder / "best.keras")
    np.testing.assert_array_equal(
        features.get_layer("head/bn").get_weights(), model.get_layer("head/bn").get_weights()
    )


@pytest.mark.parametrize(
    "overrides",
    [dict(blocks=(1, 2)), dict(channels=(64,)), pytest.param(dict(stem="conv7x7"), marks=pytest.mark.large)],
    ids=str,
)
def test_weights_of_another_model_change_nothing(source, overrides):
    _, folder = source
    other = tiny(**overrides)
    before = other.get_weights()
    for name in ("best.keras", "tiny.weights.h5"):
        with pytest.raises(UserError, match="another model's|does not fit"):
            weights.load(other, folder / name, new_head=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, other.get_weights(), strict=True))


# Two blocks and the transition between them stand for the 17 of MeliusNet-22 by default.
@pytest.mark.parametrize(
    ("blocks", "channels"),
    [((1, 1), (160,)), pytest.param((4, 5, 4, 4), (160, 224, 256), marks=pytest.mark.large)],
)
def test_larq_zoo_as_oracle_in_float64(blocks, channels, other, monkeypatch, tmp_path):
    """MeliusNet-22 with larq-zoo's stem pooling and weight clipping: its logits from its file."""
    from larq_zoo.literature import MeliusNet22, meliusnet

    monkeypatch.setattr(meliusnet.MeliusNet22Factory, "num_blocks", blocks)
    monkeypatch.setattr(meliusnet.MeliusNet22Factory, "transition_features", (*channels, None))
    sections = dict(blocks=blocks, channels=channels)
    tf.keras.backend.set_floatx("float64")
    try:
        theirs = MeliusNet22(input_shape=(64, 64, 3), weights=None, num_classes=10)
        randomise(theirs)
        theirs.save_weights(tmp_path / "meliusnet22_weights.h5")
        ours = zoo.build(
            "meliusnet22",
            (64, 64, 3),
            10,
            tmp_path / "meliusnet22_weights.h5",
            stem_pool=2,
            kernel_clip=1.3,
            normalization="none",
            **sections,
        )
        image = np.random.default_rng(2).normal(0, 1, (2, 64, 64, 3))
        expected = tf.keras.Model(theirs.inputs, theirs.get_layer("head_dense").output)(image).numpy()
        assert np.abs(ours(image).numpy() - expected).max() <= 1e-9 * np.ptp(expected)
        with pytest.raises(UserError, match="'head'"):
            zoo.build("meliusnet22", (64, 64, 3), 12, tmp_path / "meliusnet22_weights.h5", **sections)
        with pytest.raises(UserError, match="does not fit at|holds no weights for"):
            weights.load(other, tmp_path / "meliusnet22_weights.h5")
    finally:
        tf.keras.backend.set_floatx("float32")


def test_files_that_are_none(source, tmp_path):
    model, folder = source
    whole = (folder / "best.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "text.weights.h5").write_text("no weights")
    (tmp_path / "text.h5").write_text("no weights")
    (tmp_path / "some.onnx").write_text("no weights")
    shutil.copy(folder / "tiny.weights.h5", tmp_path / "renamed.h5")
    (tmp_path / "empty").mkdir()
    for name, message in {
        "cut.keras": "not a whole .keras file",
        "text.keras": "not a whole .keras file",
        "text.weights.h5": "not a whole HDF5 file",
        "text.h5": "not a whole HDF5 file",
        "renamed.h5": "lists no layer_names",
        "some.onnx": "valid: a run folder",
        "missing.h5": "No such file or folder",
        "missing.keras": "No such file or folder",
        "empty": "No best.keras",
    }.items():
        with pytest.raises(UserError, match=message):
            weights.load(model, tmp_path / name)


def test_a_foreign_larq_zoo_file_names_the_layer(other, tmp_path):
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,), name="strange")])
    model.save_weights(tmp_path / "strange.h5")
    with pytest.raises(UserError, match="'strange'"):
        weights.load(other, tmp_path / "strange.h5")


def test_plain_tensor_functions_are_read(tmp_path):
    image = tf.keras.Input((4, 4, 2))
    x = tf.concat([image + tf.stop_gradient(tf.sign(image) - image), image[:, 1:3, :, :]], 1)
    tf.keras.Model(image, tf.keras.layers.Activation("tanh")(x)).save(tmp_path / "plain.keras")
    assert weights.read_model(tmp_path / "plain.keras").output_shape == (None, 6, 4, 2)
