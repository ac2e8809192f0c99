"""The settings of augmentation: which values are refused, and what timm's notation means."""

import pytest

from bnn_keras import cli
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import Augmentation
from bnn_keras.settings.rand_augment import RandAugment
from bnn_keras.settings.recipe import Recipe

REQUIRED = 'epochs = 3\nbatch_size = 8\noptimizer = "sgd"\nlearning_rate = 0.5\n'


def test_a_recipe_is_an_augmentation_and_the_rest():
    own = {"color_jitter": [0.4, 0.4, 0.4, 0.2], "repeats": 2}  # a list, as TOML gives it
    recipe = Recipe(epochs=1, batch_size=2, optimizer="sgd", learning_rate=0.1, **own)
    assert type(recipe.augmentation) is Augmentation
    assert recipe.augmentation == Augmentation(**own)
    assert hash(recipe.augmentation) == hash(Augmentation(**own))


WRONG = [
    ("crop_area", (0.5, 0.2), "a list of 2, each a number above 0 to 1, in ascending order"),
    ("crop_area", (0.5, 2), "a list of 2, each a number above 0 to 1, in ascending order"),
    ("crop_area", (0, 1), "a list of 2, each a number above 0 to 1, in ascending order"),
    ("crop_area", (1,), "a list of 2, each a number above 0 to 1, in ascending order"),
    ("crop_aspect", (2, 1), "a list of 2, each a number from 0.01 to 100, in ascending order"),
    ("interpolation", "cubic", "one of bilinear, bicubic"),
    ("evaluation_edge", 223, "a whole number from 224 to 4096"),
    ("color_jitter", (0.4, 0.4, 0.4), "a list of 4, each a number from 0 up"),
    ("color_jitter", (-0.4, 0.4, 0.4, 0.1), "a list of 4, each a number from 0 up"),
    ("color_jitter", (0.4, 0.4, 0.4, 0.6), "The hue in color_jitter must be from 0 to 0.5. Received: 0.6"),
    ("hsv_jitter", (0, 0), "a list of 3, each a number from 0 up"),
    ("hsv_jitter", (0.6, 0, 0), "The hue in hsv_jitter must be from 0 to 0.5. Received: 0.6"),
    ("lighting", -0.1, "a number from 0 up"),
    ("mixup", -1, "a number from 0 up"),
    ("cutmix", -1, "a number from 0 up"),
    ("repeats", 0, "a whole number from 1 up"),
    ("rand_augment", "foo", "rand_augment must read like"),
]


@pytest.mark.parametrize(("key", "value", "sentence"), WRONG)
def test_wrong_values_are_refused_before_the_data_are_opened(key, value, sentence, tmp_path, capsys):
    with pytest.raises(UserError) as error:
        Augmentation(**{key: value})
    assert sentence in str(error.value) and key in str(error.value)
    written = list(value) if isinstance(value, tuple) else value
    (tmp_path / "own.toml").write_text(f"{REQUIRED}{key} = {written!r}\n")
    flag = ",".join(map(str, value)) if isinstance(value, tuple) else value
    # The folder of images does not exist: a command that looks for it says so.
    for given in (f"--recipe={tmp_path}/own.toml", f"--{key}={flag}"):
        assert cli.run(["train", f"--dataset=folder:{tmp_path}/none", given]) == 2
        assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("rand", RandAugment()),
        ("rand-m7-mstd0.5-inc1-n2-p0.5", RandAugment(7, 0.5, 10, 2, 0.5, True)),
        ("rand-m9-n3-mstd0.5", RandAugment(9, 0.5, 10, 3, 0.5, False)),
        ("rand-mstd101-p1-m4-mmax20", RandAugment(4, 101.0, 20, 2, 1.0, False)),
        ("rand-inc1-p0.25", RandAugment(10, 0.0, 10, 2, 0.25, True)),
    ],
)
def test_strings(text, policy):
    assert RandAugment.parse(text) == policy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m7",
        "rand-",
        "rand-m",
        "rand-m7.5",
        "rand-n1.5",
        "rand-x3",
        "rand-m7-m8",
        "rand-tweights",
        "rand_m7",
        "rand-m-7",
        "rand-m7 ",
        "augmix-m3",
        "rand-mmax1.5",
    ],
)
def test_strings_that_mean_nothing(text):
    with pytest.raises(UserError, match=r"must read like 'rand-m7-mstd0\.5-inc1-n2-p0\.5'.*Received: '"):
        RandAugment.parse(text)


def test_strings_with_numbers_that_do_not_fit():
    with pytest.raises(UserError, match=r"from 0 to 1. Received: 'rand-p1\.5'"):
        RandAugment.parse("rand-p1.5")
    with pytest.raises(UserError, match="timm reads inc0 as inc1. Received: 'rand-inc0'"):
        RandAugment.parse("rand-inc0")
    with pytest.raises(UserError, match="at least 1. Received: 'rand-n0'"):
        RandAugment.parse("rand-n0")
