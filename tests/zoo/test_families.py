"""Every family of the zoo on the whole road: a training step, saved, loaded, converted, verified."""

import pytest

import zoo
from bnn_keras import deploy
from bnn_keras.deploy.bundle.images import samples
from tests.networks import TWO_SECTIONS, images, of_one_sign, partly_zero, randomise
from tests.zoo.test_baselines import FAMILIES, TINY
from tests.zoo.whole_road import save_load_convert, train_save_load_convert
from zoo import bnas

MELIUS = {"blocks": (1, 1, 1, 1), "channels": (32, 32, 32)}
BINARY = ("melius", "naive", "binary", "resnete", "birealnet")
BNEXT = {"bnext_t": {"widths": (16, 32, 32)}, "bnext18": {"widths": (16, 32, 32, 32)}}


def build(name, size=64, **settings):
    tiny = BNEXT.get(name) or TINY.get(name, MELIUS)
    return zoo.build(name, (size, size, 3), 10, **{**tiny, **settings})


# MeliusNet-A with two blocks stands for the others by default, of which test_baselines trains and saves one.
NAMES = ["meliusneta", *(pytest.param(name, marks=pytest.mark.large) for name in FAMILIES)]


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_variant_trains_saves_loads_and_converts(name, tmp_path):
    model = build(name, 32, **TWO_SECTIONS) if name == "meliusneta" else build(name)
    report = train_save_load_convert(model, tmp_path)
    has_binary = name.startswith(BINARY) and "float" not in name
    assert bool(report.layers) == has_binary


@pytest.mark.large
@pytest.mark.parametrize("stem", ["conv7x7", "thumbnail"])
def test_the_other_stems_convert(stem, tmp_path):
    model = randomise(build("meliusnet22", 32, stem=stem))
    assert not save_load_convert(model, tmp_path, images(1, 32)).problems


# That of kernel_clip differs in training only.
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"pad_values": 1.0}, marks=pytest.mark.large),
        pytest.param({"kernel_clip": 1.3}, marks=pytest.mark.large),
        pytest.param({"binary": False}, marks=pytest.mark.large),
    ],
    ids=str,
)
def test_the_other_readings_convert(settings, tmp_path):
    model = randomise(build("meliusnet22", 32, **settings))
    assert not save_load_convert(model, tmp_path, images(1, 32)).problems


# At 32 pixels the last sections have images of a pixel: means, sums with 0 and equal layers vanish.
AT_THEIR_START = ("meliusneta", "binarydensenet28", "resnete18", "birealnet18", "bnext_t", "bnext18")
STARTS = {
    "fresh": lambda model: model,
    "of one sign": of_one_sign,
    "partly zero": lambda model: partly_zero(randomise(model)),
}


# By default a shorter network stands for these. Kernels of one sign: tests/deploy/test_conversion.py.
CASES = [
    *(("birealnet18", {"blocks": (1,), "channels": (32,)}, start) for start in ("fresh", "partly zero")),
    *(pytest.param(name, {}, start, marks=pytest.mark.large) for start in STARTS for name in AT_THEIR_START),
]


@pytest.mark.parametrize(("name", "settings", "start"), CASES, ids=str)
def test_a_network_at_its_start_converts(name, settings, start):
    model = STARTS[start](build(name, 32, **settings))
    _, report = deploy.convert(model, images(1, 32))
    assert report.layers and not report.problems


@pytest.mark.large
@pytest.mark.parametrize("name", [name for name in zoo.list_models() if name != bnas.OWN])
def test_full_size_round_trip(name, tmp_path):
    # BNAS is published in two sizes.
    edge = 32 if zoo.registry.variant(name).get("stem") == "thumbnail" else 224
    report = save_load_convert(zoo.build(name, (edge, edge, 3)), tmp_path, samples(edge, edge, 1))
    assert not report.problems
    print(f"\n{name}: {'; '.join(deploy.lines(report))}")
