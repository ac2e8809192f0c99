"""The settings of networks: declared once, with kinds, and refused in words."""

import doctest
import inspect

import pytest

import zoo
from bnn_keras.errors import UserError
from zoo import registry, shared


@pytest.mark.parametrize("paper", registry.PAPERS, ids=lambda paper: next(iter(paper.variants)))
def test_every_argument_of_a_network_is_a_declared_setting(paper):
    parameters = inspect.signature(paper.network).parameters.values()
    arguments = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} - {"head"}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        arguments |= set(shared.CONV_SETTINGS)
    assert set(paper.settings) == arguments


@pytest.mark.parametrize("name", zoo.list_models())
def test_published_settings_and_defaults_are_valid(name):
    known = registry.settings_of(name)
    parameters = inspect.signature(registry.paper_of(name).network).parameters.values()
    defaults = {
        p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not p.empty
    }
    for key, value in {**defaults, **registry.variant(name)}.items():
        assert known[key].kind.convert(value) == value


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("meliusnet22", dict(stem_pool=-1), "setting stem_pool of meliusnet22 must be a whole number from 1"),
        (
            "meliusnet22",
            dict(blocks="abc"),
            "blocks of meliusnet22 must be a list.*Received: 'abc'",
        ),
        ("meliusnet22", dict(channels=5), "channels of meliusnet22 must be a list"),
        ("meliusnet22", dict(channels=(32, 32)), r"each of the 3 transitions.*Received: channels=\(32, 32\)"),
        ("meliusneta", dict(channels=(30, 32, 32)), "must be multiples of groups=4"),
        ("meliusnet22", dict(stem="tiny"), "stem of meliusnet22 must be one of grouped, conv7x7, thumbnail"),
        ("meliusnet22", dict(block="odd"), "must be one of melius, naive"),
        ("meliusnet22", dict(pad_values=2), "pad_values of meliusnet22 must be one of 0, 1, -1"),
        ("meliusnet22", dict(kernel_clip=0), "kernel_clip of meliusnet22 must be a number above 0, or none"),
        ("meliusnet22", dict(binary="no"), "binary of meliusnet22 must be true or false"),
        ("resnete18", dict(blocks=(2, 2)), "blocks and channels have a number for each section"),
        ("resnet18", dict(symmetric=True, stem="grouped"), "symmetric=True goes with stem='conv7x7'"),
        ("bnext_t", dict(widths=(32, 48)), "must stay the same or double"),
        ("bnext18", dict(widths=(4, 8)), "widths must be at least 8"),
        ("bnext_t", dict(elm_attention=1), "elm_attention of bnext_t must be true or false"),
        ("mobilenetv1_050", dict(alpha=0), "alpha of mobilenetv1_050 must be a number above 0"),
        ("mobilenetv1_050", dict(stem="thumbnail"), "Unknown setting of mobilenetv1_050 'stem'"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(name, settings, message):
    with pytest.raises(UserError, match=message):
        zoo.build(name, (32, 32, 3), 4, **settings)


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [
        ((31, 64, 3), 10, "from 32 x 32 pixels up, to 4096 x 4096"),
        ((64, 10**25, 3), 10, "Received: input_shape=.64, 10000000000000000000000000"),
        ((64, 64, 1), 10, r"height x width x 3 \(RGB\)"),
        ((64, 64, 3), 0, "number of classes"),
        ((64, 64, 3), 10**11, "number of classes .* to 100000"),
    ],
)
def test_shapes_and_classes_that_cannot_be(shape, classes, message):
    with pytest.raises(UserError, match=message):
        zoo.build("meliusnet22", shape, classes)


def test_the_examples_in_the_docstrings_are_true():
    ran = doctest.testmod(registry)
    assert ran.attempted >= 6 and not ran.failed
