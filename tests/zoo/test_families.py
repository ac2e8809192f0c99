"""Every family of the zoo on the whole road: a training step, saved, loaded, converted, verified."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import deploy, weights
from bnn_keras.cli.benchmark.convert import randomise_statistics
from bnn_keras.deploy.bundle import job
from tests.networks import images, randomise
from tests.zoo.test_baselines import FAMILIES, TINY

MELIUS = {"blocks": (1, 1, 1, 1), "channels": (32, 32, 32)}
BINARY = ("melius", "naive", "binary", "resnete", "birealnet")


def build(name, **settings):
    return zoo.build(name, (64, 64, 3), 10, **{**TINY.get(name, MELIUS), **settings})


def round_trip(model, folder, compared):
    randomise_statistics(model)
    model.save(folder / "model.keras")
    loaded = weights.read_model(folder / "model.keras")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True))
    return deploy.convert(loaded, compared)[1]


# MeliusNet-A and ResNet-18 stand for their likes by default.
LARGE = ("naivenet17", "densenet28", "meliusnet20_float")
NAMES = [pytest.param(n, marks=pytest.mark.large if n in LARGE else ()) for n in ("meliusneta", *FAMILIES)]


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_variant_trains_saves_loads_and_converts(name, tmp_path):
    model = randomise(build(name))
    before = model.get_weights()
    trainer = tf.keras.Model(model.inputs, model.outputs)
    trainer.compile("sgd", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    trainer.train_on_batch(images(2, 64), np.array([0, 1]))
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    report = round_trip(model, tmp_path, images(2, 64))
    has_binary = name.startswith(BINARY) and "float" not in name
    assert bool(report.layers) == has_binary and not any(layer.problem for layer in report.layers)


@pytest.mark.parametrize("stem", ["conv7x7", "thumbnail"])
def test_the_other_stems_convert(stem, tmp_path):
    assert not round_trip(randomise(build("meliusnet22", stem=stem)), tmp_path, images(1, 64)).problems


@pytest.mark.parametrize("settings", [{"pad_values": 1.0}, {"kernel_clip": 1.3}, {"binary": False}], ids=str)
def test_the_other_readings_convert(settings, tmp_path):
    assert not round_trip(randomise(build("meliusnet22", **settings)), tmp_path, images(1, 64)).problems


@pytest.mark.large
@pytest.mark.parametrize("name", zoo.list_models())
def test_full_size_round_trip(name, tmp_path):
    report = round_trip(zoo.build(name), tmp_path, job.samples(224, 224, 1))
    assert not report.problems
    print(f"\n{name}: {'; '.join(deploy.lines(report))}")
