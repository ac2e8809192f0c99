"""The networks beside MeliusNet: against larq-zoo's, against each other, and what they promise."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import accounting, weights
from bnn_keras.errors import UserError
from tests.networks import randomise
from zoo import binarydensenet, birealnet, mobilenet, resnet, resnete

PAPERS = (binarydensenet, birealnet, mobilenet, resnet, resnete)
DENSE = dict(blocks=(2, 1, 1, 1), channels=(32, 32, 32))
RESIDUAL = dict(blocks=(1, 1, 1, 1), channels=(32, 64, 64, 96))
MOBILE = dict(alpha=0.25)
SHORT = dict(blocks=(1, 1), channels=(64, 128))
TINY = {
    "naivenet17": DENSE,
    "meliusnet20_float": DENSE,
    **dict.fromkeys(binarydensenet.VARIANTS, DENSE),
    **dict.fromkeys([*resnete.VARIANTS, *birealnet.VARIANTS, *resnet.VARIANTS], RESIDUAL),
    **dict.fromkeys(mobilenet.VARIANTS, MOBILE),
}
FAMILIES = (
    "naivenet17",
    "meliusnet20_float",
    "binarydensenet28",
    "densenet28",
    "resnete18",
    "birealnet18",
    "resnet18",
    "mobilenetv1_050",
)
TWINS = ("meliusnet20_float", "densenet28")  # in 32 bits, of networks among the others


def by_default(usual, names=FAMILIES):
    """These names, of which all but the usual ones are large."""
    return [pytest.param(name, marks=() if name in usual else pytest.mark.large) for name in names]


SOME = by_default(["resnete18"])


def tiny(name, classes=4, size=32, **overrides):
    return zoo.build(name, (size, size, 3), classes, **{**TINY[name], **overrides})


known = functools.cache(tiny)  # for tests that only look at a network


@pytest.fixture
def float64():
    tf.keras.backend.set_floatx("float64")
    yield
    tf.keras.backend.set_floatx("float32")


def assert_same_logits(ours, theirs, size):
    image = np.random.default_rng(2).normal(0, 1, (2, size, size, 3))
    logits = [layer for layer in theirs.layers if isinstance(layer, tf.keras.layers.Dense)][-1]
    expected = tf.keras.Model(theirs.inputs, logits.output)(image).numpy()
    assert np.abs(ours(image).numpy() - expected).max() <= 1e-9 * np.ptp(expected)


@pytest.fixture
def short_resnete(monkeypatch):
    """Larq-zoo's ResNetE with one block of the first two widths."""
    from larq_zoo.literature import resnet_e

    monkeypatch.setattr(resnet_e.BinaryResNetE18Factory, "spec", (SHORT["blocks"], SHORT["channels"]))


@pytest.mark.parametrize(
    ("name", "oracle", "overrides"),
    [
        ("resnete18", "BinaryResNetE18", dict(input_bn=False, **SHORT)),
        pytest.param("resnete18", "BinaryResNetE18", dict(input_bn=False), marks=pytest.mark.large),
        pytest.param("binarydensenet28", "BinaryDenseNet28", {}, marks=pytest.mark.large),
        # The same blocks in other numbers.
        pytest.param("binarydensenet37", "BinaryDenseNet37", {}, marks=pytest.mark.large),
        pytest.param("binarydensenet45", "BinaryDenseNet45", {}, marks=pytest.mark.large),
    ],
)
def test_larq_zoos_file_gives_its_logits(float64, tmp_path, request, name, oracle, overrides):
    import larq_zoo.literature

    if "blocks" in overrides:
        request.getfixturevalue("short_resnete")
    theirs = getattr(larq_zoo.literature, oracle)(input_shape=(64, 64, 3), weights=None, num_classes=10)
    randomise(theirs)
    file = tmp_path / "theirs.h5"
    theirs.save_weights(file)
    settings = dict(stem="conv7x7", normalization="none", kernel_clip=1.3, **overrides)
    ours = zoo.build(name, (64, 64, 3), 10, file, **settings)
    assert ours.count_params() == theirs.count_params()
    assert_same_logits(ours, theirs, 64)


@pytest.mark.usefixtures("short_resnete")
def test_larq_zoos_file_without_classifier_and_of_another_network(tmp_path):
    from larq_zoo.literature import BinaryResNetE18

    theirs = BinaryResNetE18(input_shape=(64, 64, 3), weights=None, include_top=False)
    file = tmp_path / "theirs.h5"
    theirs.save_weights(file)
    settings = dict(stem="conv7x7", input_bn=False, **SHORT)
    ours = zoo.build("resnete18", (64, 64, 3), weights=file, include_top=False, **settings)
    kernel = [layer for layer in theirs.layers if "quant" in layer.name][-1].get_weights()[0]
    np.testing.assert_array_equal(ours.get_layer("section2_unit2/conv").get_weights()[0], kernel)
    for name in ("resnete18", "binarydensenet28"):
        with pytest.raises(UserError, match=r"theirs\.h5 (holds|does not fit)"):
            weights.load(known(name), file)


def test_a_file_of_unnamed_layers_of_neither_family_is_refused(tmp_path):
    layers = [tf.keras.Input((8, 8, 3)), tf.keras.layers.Conv2D(4, 3, name="conv2d")]
    other = tf.keras.Sequential(layers)
    other.save_weights(tmp_path / "other.h5")
    with pytest.raises(UserError, match="'conv2d', which no family of larq-zoo"):
        weights.load(known("resnete18"), tmp_path / "other.h5")


def test_symmetric_padding_is_same_padding_of_the_image_turned_round(float64):
    """Both differ in nothing but the side of the border (but a strided 1x1 convolution would)."""
    settings = dict(size=64, normalization="none", blocks=(1, 1), channels=(64, 64))
    ours, turned = randomise(tiny("resnet18", **settings)), tiny("resnet18", symmetric=True, **settings)
    for layer in ours.layers:
        if layer.weights:
            turn = isinstance(layer, tf.keras.layers.Conv2D)
            arrays = [w[::-1, ::-1] if turn else w for w in layer.get_weights()]
            turned.get_layer(layer.name).set_weights(arrays)
    image = np.random.default_rng(2).normal(0, 1, (1, 64, 64, 3))
    cut = [tf.keras.Model(m.inputs, m.get_layer("section1_block1").output) for m in (ours, turned)]
    expected = cut[0](image).numpy()
    np.testing.assert_allclose(cut[1](image[:, ::-1, ::-1]).numpy()[:, ::-1, ::-1], expected, rtol=1e-9)
    strided = [m.get_layer("section2_block1/conv1") for m in (ours, turned)]
    x = expected
    np.testing.assert_allclose(
        strided[1](tf.pad(x[:, ::-1, ::-1], [[0, 0], [1, 1], [1, 1], [0, 0]])).numpy()[:, ::-1, ::-1],
        strided[0](x).numpy(),
        atol=1e-9,
    )


def test_symmetric_padding_has_one_stem():
    with pytest.raises(UserError, match=r"symmetric=True goes with.*Received: 'grouped'"):
        tiny("resnet18", symmetric=True, stem="grouped")


@pytest.mark.parametrize("name", SOME)
def test_a_step_saving_and_loading(name, tmp_path):
    model = tiny(name)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # One eager step takes a fifth of the time that tracing it would.
    model.compile(tf.keras.optimizers.legacy.SGD(0.1), loss, run_eagerly=True)
    rng = np.random.default_rng(0)
    image, label = rng.uniform(0, 255, (2, 32, 32, 3)).astype("float32"), np.array([0, 3])
    before = [w.numpy() for w in model.trainable_weights]
    model.train_on_batch(image, label)
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.trainable_weights, strict=True)]
    assert np.mean(moved) > 0.9
    model.save(tmp_path / "model.keras")
    loaded = weights.read_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(image).numpy(), model(image).numpy())


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("size", [pytest.param(32, marks=pytest.mark.large), 45])
def test_any_square_image_and_any_number_of_classes(name, size):
    model = tiny(name, classes=7, size=size)
    assert model.output_shape == (None, 7)
    features = tiny(name, size=size, include_top=False)
    # MobileNet's own padding rounds odd edges down, 'same' rounds them up.
    edge = size // 32 if name.startswith("mobilenet") else -(-size // 32)
    assert features.output_shape[1:3] == (edge, edge)
    assert features.output.shape[-1] == model.get_layer("head").kernel.shape[0]


@pytest.mark.parametrize("name", SOME[:-1])
@pytest.mark.parametrize("stem", ["grouped", "conv7x7", "thumbnail"])
def test_stems(name, stem):
    model = tiny(name, stem=stem)
    assert model.get_layer("stem").output_shape == (None, *((32, 32) if stem == "thumbnail" else (8, 8)), 64)


@pytest.mark.parametrize("name", by_default(set(FAMILIES) - set(TWINS)))
def test_every_stage_ends_with_the_layer_of_its_name(name):
    if name.startswith("mobilenet"):
        return
    stages: dict[str, list[str]] = {}
    for layer in known(name).layers[1:]:
        stages.setdefault(layer.name.split("/")[0], []).append(layer.name)
    for stage, layers in stages.items():
        assert layers.count(stage) == 1
    # Of several inputs Keras lists the one that is ready first: the graph decides what is last.
    model = known(name)
    for stage in stages:
        consumers = {node.outbound_layer.name for node in model.get_layer(stage).outbound_nodes}
        assert all(consumer.split("/")[0] != stage for consumer in consumers)


BINARY = ["naivenet17", "binarydensenet28", "resnete18", "birealnet18"]


@pytest.mark.parametrize("name", BINARY)
def test_all_but_stem_shortcuts_and_head_is_binary_and_its_twin_is_not(name):
    rows = accounting.profile(known(name)).rows
    convolutions = [row for row in rows if row.kernel_shapes and row.kernel_shapes[0][:2] == (3, 3)]
    in_blocks = [row for row in convolutions if row.stage != "stem"]
    assert in_blocks and all(row.binary_params == row.params > 0 for row in in_blocks)
    assert all(row.flops == 0 < row.bops for row in in_blocks)
    twin = accounting.profile(tiny(name, binary=False))
    assert twin.bops == twin.binary_params == 0
    assert twin.params == sum(row.params for row in rows)
    assert twin.flops == sum(row.flops + row.bops for row in rows)


@pytest.mark.parametrize(
    "name", by_default(set(FAMILIES) - set(TWINS), [n for n in zoo.list_models() if n in TINY])
)
def test_the_default_stem_of_a_binary_family_is_the_grouped_one(name):
    names = {layer.name for layer in known(name).layers}
    grouped = not name.startswith(("resnet1", "resnet3", "mobilenet"))
    assert ("stem/conv3" in names) == grouped


def test_the_naive_block_keeps_the_width_of_its_residual():
    model = known("naivenet17")
    grown = model.get_layer("section1_block1_dense").output_shape[-1]
    assert model.get_layer("section1_block1_residual/conv").kernel.shape[2:] == (grown, grown)
    with pytest.raises(UserError, match="block of naivenet17 must be one of melius, naive"):
        tiny("naivenet17", block="wide")


def test_birealnet_is_resnete_without_its_extra_layers():
    names = [{layer.name for layer in known(name).layers} for name in ("resnete18", "birealnet18")]
    assert names[0] - names[1] == {"input_bn", "stem_bn", "head/relu"}
    assert names[1] < names[0]


def test_mobilenet_takes_images_of_0_to_255():
    image = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    normalized = known("mobilenetv1_050").get_layer("normalization")(image)
    expected = tf.keras.applications.mobilenet.preprocess_input(image.copy())
    np.testing.assert_allclose(normalized, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv1_050"])
def test_settings_of_binary_networks_are_refused_by_others(name):
    with pytest.raises(UserError, match=f"Unknown setting of {name} 'kernel_clip'"):
        tiny(name, kernel_clip=1.3)


def test_every_variant_has_a_recipe():
    for paper in zoo.registry.PAPERS:
        assert set(paper.recipes) == set(paper.variants) <= set(zoo.list_models())
