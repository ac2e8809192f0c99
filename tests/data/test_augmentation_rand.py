"""RandAugment: which arguments its levels give, and what is drawn."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.data.augment import operations, rand_augment
from bnn_keras.settings.rand_augment import RandAugment

FILL = (124, 116, 104)
MAGNITUDES = (0, 2, 3, 5, 7, 9, 10)
# What timm 1.0's own functions give at these magnitudes, not negated.
ENHANCED = (0.1, 0.46, 0.64, 1.0, 1.36, 1.72, 1.9)
TIMM = {
    "Rotate": (0, 6, 9, 15, 21, 27, 30),
    "Posterize": (0, 0, 1, 2, 2, 3, 4),
    "Solarize": (0, 51, 76, 128, 179, 230, 256),
    "SolarizeAdd": (0, 22, 33, 55, 77, 99, 110),
    "Color": ENHANCED,
    "Contrast": ENHANCED,
    "Brightness": ENHANCED,
    "Sharpness": ENHANCED,
    "ShearX": (0, 0.06, 0.09, 0.15, 0.21, 0.27, 0.3),
    "ShearY": (0, 0.06, 0.09, 0.15, 0.21, 0.27, 0.3),
    "TranslateX": (0, 0.09, 0.135, 0.225, 0.315, 0.405, 0.45),
    "TranslateY": (0, 0.09, 0.135, 0.225, 0.315, 0.405, 0.45),
}
INCREASING = {
    **TIMM,
    "Posterize": (4, 4, 3, 2, 2, 1, 0),
    "Solarize": (256, 205, 180, 128, 77, 26, 0),
    **dict.fromkeys(
        ("Color", "Contrast", "Brightness", "Sharpness"), (1.0, 1.18, 1.27, 1.45, 1.63, 1.81, 1.9)
    ),
}
MOVED = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
OTHER_WAY = {name: tuple(-number for number in TIMM[name]) for name in MOVED}
INCREASING_OTHER_WAY = {
    **OTHER_WAY,
    **dict.fromkeys(
        ("Color", "Contrast", "Brightness", "Sharpness"), (1.0, 0.82, 0.73, 0.55, 0.37, 0.19, 0.1)
    ),
}
FUNCTIONS = {
    "AutoContrast": "auto_contrast",
    "Equalize": "equalize",
    "Invert": "invert",
    "SolarizeAdd": "solarize_add",
    "ShearX": "shear_x",
    "ShearY": "shear_y",
    "TranslateX": "translate_x",
    "TranslateY": "translate_y",
}


@pytest.fixture
def seen(monkeypatch):
    """The operations' arguments instead of their results."""
    for name in (*TIMM, "AutoContrast", "Equalize", "Invert"):
        function = FUNCTIONS.get(name, name.lower())
        monkeypatch.setattr(operations, function, lambda image, *arguments, f=function: (f, *arguments))


@pytest.mark.parametrize(
    ("increasing", "one_way", "other_way"),
    [(False, TIMM, {**TIMM, **OTHER_WAY}), (True, INCREASING, {**INCREASING, **INCREASING_OTHER_WAY})],
)
def test_levels_give_timms_arguments(seen, increasing, one_way, other_way):
    table = rand_augment.operation_table(increasing, FILL)
    assert set(table) == {*TIMM, "AutoContrast", "Equalize", "Invert"}
    for name, operation in table.items():
        for sign, expected in ((1.0, one_way), (-1.0, other_way)):
            for i, magnitude in enumerate(MAGNITUDES):
                function, *arguments = operation(None, tf.constant(magnitude / 10), tf.constant(sign))
                assert function == FUNCTIONS.get(name, name.lower())
                if name in TIMM:
                    assert float(arguments.pop(0)) == pytest.approx(expected[name][i], abs=1e-6), (
                        name,
                        magnitude,
                    )
                assert arguments == ([FILL] if name in MOVED else [])


def test_magnitudes_beyond_ten_stay_in_range(seen):
    for increasing in (False, True):
        table = rand_augment.operation_table(increasing, FILL)
        for magnitude in (15, 20, 30):
            level, sign = tf.constant(magnitude / 10), tf.constant(-1.0)
            arguments = {name: float(table[name](None, level, sign)[1]) for name in TIMM}
            assert 0 <= arguments["Posterize"] <= 8 and 0 <= arguments["Solarize"] <= 256
            assert arguments["SolarizeAdd"] == 128 and arguments["Color"] >= 0.1


def drawn(policy, images=4000):
    seeds = tf.stack([tf.fill([images], tf.constant(3, tf.int64)), tf.range(images, dtype=tf.int64)], axis=1)
    types = (tf.int32, tf.float32, tf.float32)
    draw = tf.function(
        lambda: tf.map_fn(partial(rand_augment.draw, policy), seeds, fn_output_signature=types)
    )
    return [part.numpy() for part in draw()]


def test_what_is_drawn():
    which, level, sign = drawn(RandAugment.parse("rand-m7-mstd0.5-inc1-n2-p0.5"))
    assert which.shape == level.shape == sign.shape == (4000, 2)
    assert abs((which > 0).mean() - 0.5) < 0.02 and set(np.unique(sign)) == {-1.0, 1.0}
    assert abs(sign.mean()) < 0.04
    counts = np.bincount(which[which > 0], minlength=16)[1:]
    assert len(counts) == 15 and np.all(np.abs(counts / counts.sum() - 1 / 15) < 0.015)
    assert abs(level.mean() - 0.7) < 0.005 and abs(level.std() - 0.05) < 0.003 and level.max() <= 1
    for pair in ((which[:, 0], which[:, 1]), (level[:, 0], level[:, 1]), (which[:, 0], sign[:, 0])):
        assert abs(np.corrcoef(*pair)[0, 1]) < 0.06


def test_noise_is_cut_or_uniform_or_absent():
    _, level, _ = drawn(RandAugment.parse("rand-m9-mstd2-n1-p1"), 1000)
    assert level.max() == 1 and 0.2 < (level == 1).mean() < 0.4
    _, level, _ = drawn(RandAugment.parse("rand-m9-mstd2-n1-p1-mmax20"), 1000)
    assert 1.2 < level.max() < 2
    _, level, _ = drawn(RandAugment.parse("rand-m8-mstd101-n1"), 1000)
    assert 0 <= level.min() < 0.02 and 0.78 < level.max() <= 0.8 and abs(level.mean() - 0.4) < 0.03
    which, level, _ = drawn(RandAugment.parse("rand-m8-n3-p1"), 100)
    assert np.allclose(level, 0.8) and which.shape == (100, 3) and which.min() > 0


def test_an_image_gets_the_drawn_operations_in_order():
    policy = RandAugment.parse("rand-m9-mstd0.5-inc1-n2-p0.7")
    image = tf.constant(np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8))
    table = list(rand_augment.operation_table(True, FILL).values())
    apply = tf.function(lambda seed: rand_augment.rand_augment(image, seed, policy, FILL))
    for i in range(40):
        seed = tf.constant([5, i], tf.int64)
        expected = image
        for which, level, sign in zip(*rand_augment.draw(policy, seed), strict=True):
            if which > 0:
                expected = table[int(which) - 1](expected, level, sign)
        assert np.array_equal(apply(seed), expected)
