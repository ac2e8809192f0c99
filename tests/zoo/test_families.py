"""Every family of the zoo on the whole road: a training step, saved, loaded, converted, verified."""

import pytest

import zoo
from bnn_keras import deploy
from bnn_keras.deploy.bundle import job
from tests.networks import images, randomise
from tests.zoo.test_baselines import FAMILIES, TINY
from tests.zoo.whole_road import save_load_convert, train_save_load_convert

MELIUS = {"blocks": (1, 1, 1, 1), "channels": (32, 32, 32)}
BINARY = ("melius", "naive", "binary", "resnete", "birealnet")


def build(name, **settings):
    return zoo.build(name, (64, 64, 3), 10, **{**TINY.get(name, MELIUS), **settings})


# MeliusNet-A and ResNet-18 stand for their likes by default.
LARGE = ("naivenet17", "densenet28", "meliusnet20_float")
NAMES = [pytest.param(n, marks=pytest.mark.large if n in LARGE else ()) for n in ("meliusneta", *FAMILIES)]


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_variant_trains_saves_loads_and_converts(name, tmp_path):
    report = train_save_load_convert(build(name), tmp_path)
    has_binary = name.startswith(BINARY) and "float" not in name
    assert bool(report.layers) == has_binary


@pytest.mark.parametrize("stem", ["conv7x7", "thumbnail"])
def test_the_other_stems_convert(stem, tmp_path):
    assert not save_load_convert(randomise(build("meliusnet22", stem=stem)), tmp_path, images(1, 64)).problems


@pytest.mark.parametrize("settings", [{"pad_values": 1.0}, {"kernel_clip": 1.3}, {"binary": False}], ids=str)
def test_the_other_readings_convert(settings, tmp_path):
    assert not save_load_convert(
        randomise(build("meliusnet22", **settings)), tmp_path, images(1, 64)
    ).problems


@pytest.mark.large
@pytest.mark.parametrize("name", zoo.list_models())
def test_full_size_round_trip(name, tmp_path):
    report = save_load_convert(zoo.build(name), tmp_path, job.samples(224, 224, 1))
    assert not report.problems
    print(f"\n{name}: {'; '.join(deploy.lines(report))}")
