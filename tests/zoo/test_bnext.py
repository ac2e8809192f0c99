"""BNext's architecture, its progressive kernels, and its way into a file."""

import contextlib
import io
import json

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import accounting, cli, data, deploy
from bnn_keras.deploy.conversion import hardening, orientation
from bnn_keras.errors import UserError
from bnn_keras.nn import layers, normalization, quantizers
from bnn_keras.runs import trained
from bnn_keras.settings.orientation import ORIENTATIONS, UPSIDE_DOWN
from tests import small_run
from tests.networks import images, randomise
from zoo import bnext

WIDTHS = (16, 32, 32, 64, 64)
FEWER = (16, 32, 32)  # a plain block that doubles its width, and one with the attention
ONE = (16, 16)  # a plain block
COMPARED = 12  # images with which a file is checked


def small(size=32, classes=10, temperature=1.0, **settings):
    """BNext-T with fewer and narrower blocks, of all kinds."""
    model = randomise(zoo.build("bnext_t", (size, size, 3), classes, **{"widths": WIDTHS, **settings}))
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, layers.Mix):
            layer.share.assign(rng.uniform(0, 1, layer.share.shape))
    set_temperature(model, temperature)
    return model


def set_temperature(model, temperature):
    for quantizer in quantizers.progressive(model):
        quantizer.temperature.assign(temperature)


# What the released code computes, as the facts give it: BOPs in 1e9, OPs in 1e8, QOPs in 1e6, MiB.
COUNTS = {
    "bnext_t": (4.82, 0.8861, 13.34, 13.29, 31),
    "bnext_s": (10.84, 1.9047, 21.13, 26.70, 31),
    "bnext_m": (20.09, 3.3811, 24.26, 46.49, 47),
    "bnext18": (1.676, 1.643, 138.14, 5.42, 16),
}


# The largest ones are built for the tables of docs/tables.md as well (large).
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.large if n in ("bnext_t", "bnext_s", "bnext_m") else ())
        for n in COUNTS
    ],
)
def test_counts_are_those_of_the_code(name):
    model = zoo.build(name)
    profile = accounting.profile(model, dense=True)
    bops, ops, qops, mib, convolutions = COUNTS[name]
    assert profile.bops / 1e9 == pytest.approx(bops, abs=0.005)
    assert profile.ops / 1e8 == pytest.approx(ops, abs=5e-4 if name == "bnext18" else 5e-5)
    assert profile.flops / 1e6 == pytest.approx(qops, abs=0.006)
    assert profile.size_mib == pytest.approx(mib, abs=0.005)
    assert len(quantizers.progressive(model)) == convolutions
    assert not profile.notes
    tf.keras.backend.clear_session()


@pytest.mark.parametrize(("elm", "recoupling"), [(True, False), (False, True)])
def test_the_switches_of_table_4_take_out_just_their_layers(elm, recoupling):
    model = small(widths=FEWER, elm_attention=elm, info_recoupling=recoupling)
    names = [layer.name for layer in model.layers]
    assert any(name.endswith("/elm") for name in names) == elm
    assert any(name.endswith("/mix") for name in names) == recoupling
    assert any(name.endswith("/recoupled_bn") for name in names) == recoupling
    assert any(name.endswith("/elm_bn") for name in names) == elm


@pytest.fixture(scope="module")
def fresh():
    """A new network, of which nothing is changed."""
    tf.keras.utils.set_random_seed(0)
    return zoo.build("bnext_t", (32, 32, 3), 10, widths=WIDTHS, stem="thumbnail")


def test_every_second_block_has_the_attention_counting_the_stem_as_0(fresh):
    names = [layer.name for layer in fresh.layers]
    assert {name.split("_")[0] for name in names if name.endswith("/elm")} == {"block2", "block4"}


def _mean_of_the_mix(monkeypatch):
    """BNext as the paper draws it: the feature maps themselves are mixed, and then averaged."""
    mean, float_conv, average_pool = bnext.mean, bnext.pytorch.conv, bnext.shared.average_pool

    def averaged_later(x, filters, kernel_size, name, *args, **kwargs):
        x = mean(x, f"{name}_mean") if name.endswith("/squeeze") else x
        return float_conv(x, filters, kernel_size, name, *args, **kwargs)

    monkeypatch.setattr(bnext, "mean", lambda x, name: x)
    monkeypatch.setattr(bnext.pytorch, "conv", averaged_later)
    monkeypatch.setattr(bnext, "_pooled", lambda x, s, name: x if s == 1 else average_pool(x, f"{name}/p"))


# 40 gives maps of odd edge, 5 and 3.
@pytest.mark.parametrize("size", [pytest.param(32, marks=pytest.mark.large), 40])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("bnext_t", {"widths": FEWER}),
        pytest.param("bnext18", {"widths": (16, 32), "stem": "thumbnail"}, marks=pytest.mark.large),
    ],
)
def test_the_mix_of_means_is_the_mean_of_the_mix(monkeypatch, name, settings, size):
    tf.keras.backend.set_floatx("float64")
    try:
        ours = randomise(zoo.build(name, (size, size, 3), 10, **settings))
        _mean_of_the_mix(monkeypatch)
        papers = zoo.build(name, (size, size, 3), 10, **settings)
    finally:
        tf.keras.backend.set_floatx("float32")
    for layer in ours.layers:
        if layer.weights:
            papers.get_layer(layer.name).set_weights(layer.get_weights())
    x = images(2, size).astype(np.float64)
    wanted = papers(x).numpy()
    np.testing.assert_allclose(ours(x), wanted, rtol=0, atol=1e-12 * np.ptp(wanted))


def test_a_new_network_starts_as_the_released_code_does(fresh):
    model = fresh
    kernel = model.get_layer("block4_3x3/conv").kernel.latent_variable.numpy()
    assert kernel.std() == pytest.approx(0.001, rel=0.02)
    assert (model.get_layer("head/prelu").alpha.numpy() == 0.25).all()
    assert (model.get_layer("block1_3x3/mix").share.numpy() == 0.5).all()
    assert not model.get_layer("block1_3x3/bias").bias.numpy().any()
    for layer, fan_in in ((model.get_layer("head"), 64), (model.get_layer("block3_3x3/squeeze"), 32)):
        for weight in layer.get_weights():
            assert np.abs(weight).max() <= fan_in**-0.5 and weight.std() == pytest.approx(
                (3 * fan_in) ** -0.5, rel=0.5
            )
    assert {float(q.temperature) for q in quantizers.progressive(model)} == {1.0}


def test_its_twin_in_32_bits_has_nothing_binary():
    assert accounting.profile(small(widths=FEWER, binary=False)).bops == 0


@pytest.mark.parametrize("setting", [{"stem": "grouped"}, {"backbone": "vgg"}])
def test_unknown_settings_are_refused(setting):
    ((key, value),) = setting.items()
    with pytest.raises(UserError, match=f"{key}.*{value}"):
        zoo.build("bnext_t", (32, 32, 3), 10, **setting)


def test_progressive_kernels_are_clipped_quotients_until_they_are_signs():
    quantizer = quantizers.ProgressiveSign(hard_below=1e-5)
    w = tf.constant([-2.0, -0.3, 0.0, 0.01, 0.4, 1.5])
    np.testing.assert_allclose(quantizer(w), [-1, -0.3, 0, 0.01, 0.4, 1])
    quantizer.temperature.assign(0.5)
    np.testing.assert_allclose(quantizer(w), [-1, -0.6, 0, 0.02, 0.8, 1], rtol=1e-6)
    assert not quantizer.is_hard
    quantizer.temperature.assign(9e-6)
    np.testing.assert_array_equal(quantizer(w), [-1, -1, 1, 1, 1, 1])
    assert quantizer.is_hard
    with tf.GradientTape() as tape:
        tape.watch(w)
        y = tf.reduce_sum(quantizer(w) * [1.0, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(tape.gradient(y, w), [1, 2, 3, 4, 5, 6])


def test_the_temperature_is_saved_with_the_model(tmp_path):
    model = small(temperature=0.3, widths=ONE)
    model.save(tmp_path / "m.keras")
    loaded = tf.keras.models.load_model(tmp_path / "m.keras")
    assert [float(q.temperature) for q in quantizers.progressive(loaded)] == [np.float32(0.3)] * 2
    x = images(2, 32)
    np.testing.assert_array_equal(loaded(x), model(x))


def test_a_step_keeps_kernels_and_shares_within_their_bounds():
    model = small(widths=ONE)
    conv, mix = model.get_layer("block1_3x3/conv"), model.get_layer("block1_3x3/mix")
    conv.kernel.latent_variable.assign(tf.ones_like(conv.kernel.latent_variable) * 1.4)
    model.compile(tf.keras.optimizers.SGD(1e4), "mse", run_eagerly=True)
    model.train_on_batch(images(2, 32), np.ones((2, 10)))
    assert np.abs(conv.kernel.latent_variable).max() <= 1.5
    assert mix.share.numpy().min() >= 0 and mix.share.numpy().max() <= 1
    assert np.ptp(mix.share.numpy()) > 0.5  # it was moved


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A model with soft kernels, and the file, manifest and words of `convert` for turned digits."""
    folder, said = tmp_path_factory.mktemp("converted"), io.StringIO()
    model = small(32, temperature=0.3, widths=ONE)
    model.save(folder / "m.keras")
    words = ["--dataset=digits", f"--images={COMPARED}", f"--output={folder / 'm.tflite'}"]
    with contextlib.redirect_stdout(said):
        assert cli.run(["convert", str(folder / "m.keras"), f"--orientation={UPSIDE_DOWN}", *words]) == 0
    return model, folder / "m.tflite", json.loads((folder / "m.json").read_text()), said.getvalue()


def test_the_file_is_binary_and_the_report_says_what_the_hard_sign_changed(converted):
    model, _, manifest, said = converted
    assert "2 of 2 binary layers are LceBconv2d" in said
    found = hardening.Hardening(**manifest["hardened"])
    (x, labels), *_ = data.open("digits").test(COMPARED, COMPARED).as_numpy_iterator()
    kernels = [q for q in model.layers if hasattr(q, "kernel_quantizer")]
    soft = sum(int((np.abs(k.kernel.latent_variable.numpy()) < np.float32(0.3)).sum()) for k in kernels)
    assert found.values == sum(k.kernel.latent_variable.numpy().size for k in kernels)
    assert abs(found.soft - soft) <= found.values * 1e-4
    classes, hard = (np.asarray(each(x)).argmax(-1) for each in (model, hardening.harden(model)))
    assert (found.accuracy, found.hard_accuracy) == ((classes == labels).mean(), (hard == labels).mean())
    assert found.other_class == (classes != hard).sum() > 0
    assert found.sentence in said and f"{found.soft:,} of {found.values:,}" in found.sentence


def test_hardening_changes_nothing_below_the_threshold():
    model, x = small(temperature=1e-8, widths=ONE), images(3, 32)
    hard = hardening.harden(model)
    np.testing.assert_array_equal(hard(x), model(x))
    found = hardening.measure(model, hard, x)
    assert (found.soft, found.other_class, found.accuracy) == (0, 0, None)
    assert "accuracy" not in found.sentence


def test_other_networks_are_not_hardened():
    model = small_run.network()
    assert hardening.harden(model) is model
    assert hardening.measure(model, model, images(1, 32)) is None


def test_upside_down_takes_the_turned_image():
    model, x = small(widths=ONE), images(2, 32)
    turned = orientation.upside_down(model)
    np.testing.assert_array_equal(turned(x[:, ::-1, ::-1]), model(x))
    assert not any(isinstance(layer, layers.Rotate180) for layer in turned.layers)


@pytest.mark.large
def test_convert_with_either_orientation(tmp_path, capsys):
    model, x = small(32, widths=FEWER), images(2, 32)
    model.save(tmp_path / "m.keras")
    for value in ORIENTATIONS:
        words = ["--images=2", f"--output={tmp_path / value}.tflite", f"--orientation={value}"]
        words.append("--no_optimize")  # rewrites of what comes before the stem give sums another order
        assert cli.run(["convert", str(tmp_path / "m.keras"), *words]) == 0
        manifest = json.loads((tmp_path / f"{value}.json").read_text())
        assert manifest["input"]["orientation"] == value
        assert manifest["hardened"]["soft"] > 0
    assert "hard sign: " in capsys.readouterr().out
    files = [tmp_path / f"{value}.tflite" for value in ORIENTATIONS]
    upright, turned = (
        deploy.run(file.read_bytes(), pixels)
        for file, pixels in zip(files, (x[:1], x[:1, ::-1, ::-1]), strict=True)
    )
    np.testing.assert_array_equal(upright, turned)
    wanted = hardening.harden(model)(x).numpy()
    for file in files:  # each is read as what it is
        logits = trained.load(file).logits(x)
        np.testing.assert_allclose(logits, wanted, rtol=1e-3, atol=1e-2 * np.ptp(wanted))


def test_convert_for_images_that_are_turned_already(converted):
    model, file, manifest, said = converted
    x = images(1, 32)
    assert manifest["input"]["orientation"] == UPSIDE_DOWN and manifest["hardened"]["soft"] > 0
    assert "hard sign: " in said
    wanted, found = hardening.harden(model)(x).numpy(), deploy.run(file.read_bytes(), x[:, ::-1, ::-1])
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-2 * np.ptp(wanted))


def test_networks_that_do_not_turn_their_image_have_one_orientation(tmp_path, capsys):
    image = tf.keras.Input((8, 8, 3))
    tf.keras.Model(image, tf.keras.layers.Flatten()(image), name="upright").save(tmp_path / "m.keras")
    assert cli.run(["convert", str(tmp_path / "m.keras"), "--orientation=upside_down"]) == 2
    assert "upright does not turn its image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("usual", "settings", "wanted"),
    [
        (None, {}, "larq_zoo"),
        (None, {"stem": "thumbnail"}, "bnext_cifar"),
        ("cifar10", {}, "bnext_cifar"),
        ("digits", {"stem": "thumbnail"}, "digits"),
    ],
)
def test_images_are_normalised_as_by_the_authors(usual, settings, wanted):
    assert zoo.registry.normalization_of("bnext_t", settings, usual) == wanted
    assert zoo.registry.normalization_of("meliusnet22", settings, usual) == (usual or "imagenet2012")


def test_a_network_is_built_with_its_authors_normalisation(fresh):
    mean, _ = normalization.MEAN_STD["bnext_cifar"]
    assert tuple(fresh.get_layer("normalization").mean) == mean
