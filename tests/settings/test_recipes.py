"""Recipes: files, flags, what is refused, which one a network takes; and two steps with each of them."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import data, training
from bnn_keras.cli import flags, train
from bnn_keras.errors import UserError
from bnn_keras.nn import layers, quantizers
from bnn_keras.runs import trained
from bnn_keras.settings.augmentation import STANDARDS
from bnn_keras.settings.recipe import KINDS, Recipe
from bnn_keras.settings.recipe_file import read_recipe
from bnn_keras.training import objective, optimizers
from tests import small_run
from zoo import genotype, recipes, registry

NAMES = zoo.list_recipes()
RECIPE = Recipe(epochs=150, batch_size=96, optimizer="adam", learning_rate=0.003, warmup_epochs=5)


def network(progressive):
    """A convolution of each kind, an image of 32 pixels to ten classes."""
    image = tf.keras.Input((32, 32, 3))
    x = tf.keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = tf.keras.layers.Conv2D(8, 3, strides=4, padding="same")(x)
    x = tf.keras.layers.BatchNormalization()(x)
    x = (layers.progressive_conv if progressive else layers.binary_conv)(8, 3, name="binary")(x)
    x = tf.keras.layers.BatchNormalization()(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(10)(x), name="tiny")


COMPILED = "meliusnet_sgd"
# These differ from others in numbers only.
TWINS = (
    *("meliusnet", "meliusnet_adam", "photographs"),  # as digits and small
    *("bnext_l", "bnext18", "bnext_ablation", "bnext_cifar10", "bnext_cifar100"),
    *("bnas", "float_study", "meliusnet59"),
)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.large if n in TWINS else ()) for n in NAMES]
)
def test_two_steps_with_every_recipe(name):
    """With its own optimizer, schedule, decay, clipping and augmentation."""
    found = recipes.load(name)
    tried = found.override(epochs=1, batch_size=8)
    tf.keras.utils.set_random_seed(0)
    model = network(progressive=found.temperature_decay is not None)
    digits = data.open("digits", train_examples=16, augmentation=tried.augmentation)
    optimizer = optimizers.optimizer_of(tried, digits.steps_per_epoch(8))
    # Tracing costs ten times the two steps: where it gives something else, the run of one recipe shows it.
    model.compile(optimizer, objective.CrossEntropy(), run_eagerly=name != COMPILED)
    before = [weight.numpy() for weight in model.trainable_weights]
    fitted = model.fit(digits.train(8, epoch=0, seed=0), verbose=0)
    assert int(optimizer.iterations) == 2 and np.isfinite(fitted.history["loss"]).all()
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert (weight.numpy() != old).any(), weight.name


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_says_where_it_comes_from(name):
    text = recipes.FILES[name].read_text()
    assert re.match(r"# \w", text) and re.search(r"[Ss]ection|Code:|Ours:", text)
    assert max(map(len, text.splitlines())) <= 110


def values_of(name, *keys):
    found = recipes.load(name)
    return tuple(getattr(found, key) for key in keys)


def test_published_values_meliusnet(shared):
    """Those of the released runs; batch sizes there are those of one GPU."""
    runs = json.loads((shared / "reference" / "bmxnet_runs.json").read_text())
    for run in runs:
        model59 = run["block_config"] == "6,12,24,12"
        found = recipes.load("meliusnet59" if model59 else "meliusnet")
        assert (found.epochs, found.optimizer, found.learning_rate) == (
            run["epochs"],
            run["optimizer"],
            run["lr"],
        )
        assert found.schedule == "cosine" and found.warmup_epochs == 0
        assert found.all_epochs == (170 if model59 else 120)


def test_published_values_of_the_papers():
    keys = ("epochs", "optimizer", "learning_rate", "warmup_epochs")
    assert values_of("meliusnet_adam", *keys) == (120, "adam", 0.002, 5)
    assert values_of("meliusnet_sgd", *keys) == (120, "sgd", 0.1, 5)
    assert values_of("naivenet", *keys, "milestones", "milestone_factor") == (
        *(40, "radam", 0.001, 0),
        *((35, 37), 0.1),
    )
    assert values_of("float_study", *keys, "color_jitter", "lighting") == (
        *(90, "sgd", 0.1, 5),
        *((0.4, 0.4, 0.4, 0.0), 0.1),
    )


@pytest.mark.parametrize(
    ("name", "epochs", "batch_size", "augmented"),
    [
        ("bnext", 512, 512, True),
        ("bnext_l", 512, 128, True),
        ("bnext18", 512, 512, False),
        ("bnext_ablation", 128, 512, False),
        ("bnext_cifar10", 256, 128, False),
        ("bnext_cifar100", 256, 128, False),
    ],
)
def test_published_values_of_bnext(name, epochs, batch_size, augmented):
    keys = ("epochs", "batch_size", "rand_augment")
    policy = "rand-m7-mstd0.5-inc1-n2-p0.5" if augmented else None
    assert values_of(name, *keys) == (epochs, batch_size, policy)
    assert values_of(name, "optimizer", "learning_rate", "beta_1", "beta_2") == ("adamw", 1e-3, 0.9, 0.999)
    assert values_of(name, "weight_decay", "kernel_weight_decay", "decay_groups") == (1e-3, 1e-8, "released")
    assert values_of(name, "schedule", "warmup_epochs", "warmup_learning_rate") == (
        *("cosine_per_epoch", 5),
        1e-5,
    )
    assert values_of(name, "final_learning_rate", "clip_norm", "temperature_decay") == (1e-7, 5.0, 0.9)
    on_imagenet = ("bicubic", 235) if "cifar" not in name else (None, None)
    assert values_of(name, "interpolation", "evaluation_edge") == on_imagenet


def test_published_values_of_bnas():
    keys = ("epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule")
    assert values_of("bnas_cifar10", *keys) == (600, 256, "sgd", 0.05, 3e-6, "one_cycle")
    cycle = ("warmup_learning_rate", "final_learning_rate", "cycle_share", "momentum", "cycle_momentum")
    assert values_of("bnas_cifar10", *cycle) == (2.5e-3, 2.5e-5, 0.9, 0.95, 0.85)
    assert values_of("bnas_search", *keys) == (50, 64, "sgd", 0.025, 3e-4, "cosine_per_epoch")
    assert values_of("bnas_search", "final_learning_rate", "momentum", "clip_norm") == (0.001, 0.9, None)
    assert values_of("bnas", *keys) == (250, 512, "sgd", 0.1, 3e-5, "cosine_restarts")
    assert values_of("bnas", "restart_epochs", "momentum", "label_smoothing", "clip_norm") == (
        50,
        0.9,
        0.1,
        5,
    )
    assert values_of("bnas", "color_jitter") == ((0.4, 0.4, 0.4, 0.2),)
    assert values_of("bnas_cifar10", "drop_path") == (0.2,) and values_of("bnas", "drop_path") == (0.0,)
    for model in ("bnas_a", "bnas"):
        assert registry.recipe(model, "cifar10", "small") == recipes.load("bnas_cifar10")


def test_every_network_has_a_recipe_of_its_own():
    for model in zoo.list_models():
        assert registry.recipe(model) == recipes.load(registry.paper_of(model).recipes[model])
    assert registry.recipe("meliusnet22") == recipes.load("meliusnet")
    assert registry.recipe("meliusnet59") == recipes.load("meliusnet59")
    assert registry.recipe("naivenet17") == recipes.load("naivenet")
    assert registry.recipe("resnet18") == recipes.load("float_study")
    assert registry.recipe("bnext_t") == recipes.load("bnext")
    assert registry.recipe("bnext_l") == recipes.load("bnext_l")
    assert registry.recipe("bnext18") == recipes.load("bnext18")


def test_which_recipe_a_network_takes_elsewhere():
    assert registry.recipe("meliusnet22", "digits", "digits") == recipes.load("digits")
    assert registry.recipe("meliusnet22", "cifar10", "small") == recipes.load("small")
    assert registry.recipe("meliusnet59", "folder:flowers", "photographs") == recipes.load("photographs")
    for model in ("bnext_t", "bnext18"):
        for name in ("cifar10", "cifar100"):
            assert registry.recipe(model, name, "small") == recipes.load(f"bnext_{name}")
    assert registry.recipe("meliusnet22", chosen="naivenet") == recipes.load("naivenet")


@pytest.mark.parametrize(("dataset", "kind"), [("digits", "digits"), ("svhn_cropped", "small")])
def test_progressive_kernels_are_hard_after_the_published_share_of_any_training(dataset, kind):
    for model, hard_below, published in (("bnext_t", 1e-7, 153), ("bnext18", 1e-5, 110)):
        found = registry.recipe(model, dataset, kind)
        hard = next(e for e in range(999) if found.temperature_decay**e < hard_below)
        assert abs(hard - published / 512 * found.epochs) < 1
        assert found.replace(temperature_decay=None) == recipes.load(kind)


def test_a_recipe_with_a_temperature_is_none_for_networks_without_such_kernels():
    assert registry.recipe("meliusnet22", chosen="bnext") == recipes.load("bnext").replace(
        temperature_decay=None
    )
    own = registry.recipe("bnext_t", chosen="bnext_ablation")
    assert own.temperature_decay == 0.9


def test_other_epochs_stretch_what_is_counted_in_epochs_and_drop_the_tail():
    long = RECIPE.replace(tail_epochs=20, tail_learning_rate=3e-6)
    assert long.override(epochs=30).warmup_epochs == 1
    assert long.override(epochs=30).all_epochs == 30
    assert long.override(batch_size=8).all_epochs == 170
    assert RECIPE.override(epochs=1).warmup_epochs == 0
    assert recipes.load("naivenet").override(epochs=20).milestones == (17.5, 18.5)
    restarts = RECIPE.replace(schedule="cosine_restarts", restart_epochs=50)
    assert restarts.override(epochs=15).restart_epochs == 5
    assert restarts.override(epochs=1).restart_epochs == 1
    assert RECIPE.override(epochs=30, warmup_epochs=7).warmup_epochs == 7


def test_other_epochs_keep_the_share_after_which_kernels_are_hard():
    bnext = recipes.load("bnext")
    short = bnext.override(epochs=64)
    assert short.temperature_decay == pytest.approx(0.9**8, rel=1e-12)
    assert bnext.override(epochs=64, temperature_decay=0.5).temperature_decay == 0.5
    assert bnext.override(epochs=512) == bnext


def test_another_optimizer_or_schedule_starts_from_its_own_settings():
    bnext = recipes.load("bnext")
    assert bnext.override(optimizer="radam").beta_1 is None
    assert bnext.override(optimizer="sgd", momentum=0.5).momentum == 0.5
    stepped = recipes.load("naivenet").override(schedule="cosine")
    assert (stepped.milestones, stepped.milestone_factor) == ((), 0.1)
    assert bnext.override(schedule="cosine").final_learning_rate == 1e-7  # which both have


def test_learning_rates_follow_the_batch():
    scaled = recipes.load("bnext").scale_learning_rate(128)
    assert (scaled.batch_size, scaled.learning_rate) == (128, 2.5e-4)
    assert (scaled.warmup_learning_rate, scaled.final_learning_rate) == pytest.approx((2.5e-6, 2.5e-8))
    assert scaled.weight_decay == 1e-3


REQUIRED = 'epochs = 3\nbatch_size = 8\noptimizer = "sgd"\nlearning_rate = 0.5\n'


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_of_the_users_own(tmp_path):
    path = written(tmp_path, REQUIRED + "# mine\ncolor_jitter = [0, 1, 0.5, 0]\nmomentum = 0\n")
    found = Recipe(
        epochs=3,
        batch_size=8,
        optimizer="sgd",
        learning_rate=0.5,
        color_jitter=(0.0, 1.0, 0.5, 0.0),
        momentum=0.0,
    )
    assert read_recipe(path) == recipes.load(path) == recipes.load(str(path)) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            REQUIRED + "colour = 1",
            r"Unknown key of the recipe .*mine.toml: 'colour'; valid: extends, epochs, batch_size",
        ),
        (REQUIRED + "mixupp = 1", r"Unknown key of the recipe .*mine.toml: 'mixupp'; did you mean mixup\?"),
        (REQUIRED.replace("epochs = 3\n", ""), r"mine.toml does not say epochs; it needs epochs, batch_size"),
        (REQUIRED + "epochs = 4", r"mine.toml is not TOML: Cannot overwrite a value"),
        (REQUIRED + "flip = ", r"mine.toml is not TOML: Invalid value"),
        (b"\xff\xfe", r"mine.toml is not a text in UTF-8"),
        (
            REQUIRED + "momentum = true",
            r"momentum must be a number from 0 to below 1, or none. Received: True",
        ),
        (REQUIRED + "flip = 1", r"flip must be true or false, or none. Received: 1"),
        (REQUIRED + "warmup_epochs = 1.0", r"warmup_epochs must be a whole number from 0 up. Received: 1.0"),
        (REQUIRED + "[epochs2]\nx = 1", r"'epochs2'; did you mean epochs"),
    ],
)
def test_broken_files_are_refused(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        read_recipe(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read .*none.toml: No such file or directory"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(UserError, match=r"Unknown recipe 'none'; valid: bnas, .*FILE.toml"):
        recipes.load("none")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1 up. Received: 0"),
        ({"epochs": "3"}, "epochs must be a whole number from 1 up. Received: '3'"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0. Received: 0"),
        ({"learning_rate": float("inf")}, "learning_rate must be a number above 0. Received: inf"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0. Received: nan"),
        ({"optimizer": "lamb"}, "optimizer must be one of adam, adamw, .* Received: 'lamb'"),
        ({"schedule": ["cosine"]}, r"schedule must be one of constant, .* Received: \['cosine'\]"),
        ({"warmup_epochs": 150}, "warmup_epochs must be less than the 150 epochs. Received: 150"),
        ({"schedule": "steps"}, "The schedule steps needs milestones"),
        ({"schedule": "cosine_restarts"}, "The schedule cosine_restarts needs restart_epochs"),
        (
            {"schedule": "one_cycle", "warmup_epochs": 0, "optimizer": "sgd", "cycle_momentum": 0.85},
            "cycle_momentum needs momentum, which is where the cycle starts",
        ),
        ({"milestones": (3,)}, "The schedule cosine does not use milestones. Received: 3; it takes warm"),
        ({"momentum": 0.5}, "The optimizer adam does not use momentum. Received: 0.5; it takes beta_1"),
        ({"bop_gamma": 0.5}, "The optimizer adam does not use bop_gamma"),
        ({"kernel_weight_decay": 0.1}, "go together. Received: kernel_weight_decay=0.1, decay_groups=None"),
        ({"decay_groups": "binary"}, "go together. Received: kernel_weight_decay=None, decay_groups=binary"),
        ({"milestones": 3}, "milestones must be a list of numbers, each a number above 0. Received: 3"),
        ({"rand_augment": ""}, "rand_augment must be timm's notation, such as"),
        ({"temperature_decay": 1.1}, "temperature_decay must be a number above 0 to 1, or none"),
        ({"tail_epochs": -1}, "tail_epochs must be a whole number from 0 up"),
    ],
)
def test_impossible_values_are_refused_whole_and_named(change, sentence):
    with pytest.raises(UserError, match=sentence):
        RECIPE.replace(**change)


OTHER = {
    **{"epochs": 7, "batch_size": 9, "optimizer": "sgd", "learning_rate": 0.25, "schedule": "one_cycle"},
    **{
        "warmup_epochs": 1,
        "warmup_learning_rate": 0.5,
        "final_learning_rate": 0.125,
        "milestones": (3.0, 4.5),
    },
    **{"milestone_factor": 0.5, "restart_epochs": 2, "cycle_share": 0.5, "cycle_momentum": 0.25},
    **{"tail_epochs": 2, "tail_learning_rate": 0.5, "beta_1": 0.5, "beta_2": 0.25, "epsilon": 0.5},
    **{"momentum": 0.5, "nesterov": True, "bop_threshold": 0.5, "bop_gamma": 0.25, "weight_decay": 0.5},
    **{"kernel_weight_decay": 0.25, "decay_groups": "binary", "clip_norm": 0.5, "label_smoothing": 0.25},
    **{"temperature_decay": 0.5, "crop_area": (0.25, 0.5), "crop_aspect": (0.5, 2.0)},
    **{"interpolation": "bicubic", "evaluation_edge": 230, "flip": False},
    **{"color_jitter": (0.5, 0.25, 0.5, 0.25), "hsv_jitter": (0.5, 0.25, 0.5), "lighting": 0.5},
    **{"extensions": (2, 3), "patience": 2, "accumulate": 2, "ema_decay": 0.5, "freeze": True},
    **{"drop_path": 0.5},
    **{"precision": "mixed_bfloat16", "rand_augment": "rand-m9", "mixup": 0.5, "cutmix": 0.25, "repeats": 3},
}
# What a key needs beside it.
WITH = {
    "milestones": {"schedule": "steps"},
    "milestone_factor": {"schedule": "steps", "milestones": (3.0,)},
    "restart_epochs": {"schedule": "cosine_restarts"},
    "cycle_share": {"schedule": "one_cycle"},
    "cycle_momentum": {"schedule": "one_cycle", "optimizer": "sgd", "momentum": 0.5},
    "momentum": {"optimizer": "sgd"},
    "nesterov": {"optimizer": "sgd"},
    "bop_threshold": {"optimizer": "bop"},
    "bop_gamma": {"optimizer": "bop"},
    "kernel_weight_decay": {"decay_groups": "binary"},
    "decay_groups": {"kernel_weight_decay": 0.25},
}


def resolved(default, *arguments):
    values, _ = flags.parse(train.FLAGS, arguments)
    return train.recipe_of(values, default)


def as_flag(key, value):
    if isinstance(value, bool):
        return f"--{key}" if value else f"--no{key}"
    return f"--{key}={','.join(map(str, value)) if isinstance(value, tuple) else value}"


@pytest.mark.parametrize("key", list(KINDS))
def test_every_key_is_a_flag(key):
    plain = Recipe(epochs=4, batch_size=8, optimizer="adam", learning_rate=1.0)
    needed = {**WITH.get(key, {}), key: OTHER[key]}
    found = resolved(plain, *(as_flag(name, value) for name, value in needed.items()))
    assert found == plain.replace(**needed)
    assert getattr(found, key) != getattr(plain, key)


def test_flags_that_are_not_given_change_nothing():
    for name in NAMES:
        assert resolved(recipes.load(name)) == recipes.load(name)


def test_none_turns_a_setting_off():
    bnext = recipes.load("bnext")
    off = resolved(bnext, "--rand_augment=none", "--kernel_weight_decay=none", "--decay_groups=none")
    assert (off.rand_augment, off.kernel_weight_decay, off.decay_groups) == (None, None, None)


def test_scale_lr():
    bnext = recipes.load("bnext")
    assert resolved(bnext, "--scale_lr", "--batch_size=64").learning_rate == 1e-3 / 8
    assert resolved(bnext, "--batch_size=64").learning_rate == 1e-3
    assert resolved(bnext, "--scale_lr") == bnext
    with pytest.raises(UserError, match="--scale_lr computes the learning rate: leave out --learning_rate"):
        resolved(bnext, "--scale_lr", "--batch_size=64", "--learning_rate=1")


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--epochs=many", "flag --epochs=many: it must be a whole number from 1 up"),
        ("--epochs=2.5", "flag --epochs=2.5: it must be a whole number from 1 up"),
        ("--schedule=sine", "flag --schedule=sine: it must be one of constant, cosine"),
        ("--crop_area=0.5", "flag --crop_area=0.5: it must be a list of 2, each a number above 0 to 1"),
        ("--epochs=none", "flag --epochs=none: it must be"),
        ("--clip_norm=", "flag --clip_norm=: it must be a number from 0 up, or none"),
    ],
)
def test_flags_that_cannot_be(flag, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        resolved(RECIPE, flag)


def test_every_flag_is_one_line_of_help():
    known = {flag.name: flag for flag in train.FLAGS}
    for name in KINDS:
        assert known[name].meaning and len(f"  {known[name].typed}: {known[name].meaning}") <= 80, name


def test_lines_say_what_matters_and_nothing_else():
    lines = recipes.load("bnext").lines("photographs")
    text = " ".join(line.strip() for line in lines)
    assert text.startswith("recipe: epochs=512, batch_size=512, optimizer=adamw, learning_rate=0.001, ")
    for part in ("final_learning_rate=1e-07", "rand_augment=rand-m7-mstd0.5-inc1-n2-p0.5", "clip_norm=5"):
        assert part in text
    assert not re.search("None|milestone|momentum|bop|restart|tail|repeats|cutmix|lighting", text)
    assert max(map(len, lines)) <= 80
    assert recipes.load("meliusnet").override(warmup_epochs=3, flip=False).lines("small") == [
        "recipe: epochs=120, batch_size=64, optimizer=radam, learning_rate=0.002,",
        "  schedule=cosine, warmup_epochs=3, flip=false",
    ]
    assert "color_jitter=0.4,0.4,0.4,0" in " ".join(recipes.load("float_study").lines("photographs"))


@pytest.mark.parametrize("kind", STANDARDS)
def test_lines_of_a_resumed_run_are_those_of_its_start(kind):
    """Its configuration holds the standards of the data, where the recipe has None."""
    recipe = recipes.load("meliusnet")
    assert recipe.effective(kind) != recipe
    assert recipe.effective(kind).lines(kind) == recipe.lines(kind)
    assert "flip=" in " ".join(recipe.override(flip=kind == "digits").lines(kind))


def test_a_recipe_extends_another_as_flags_change_it(tmp_path):
    mine = written(tmp_path, 'extends = "bnext"\nepochs = 64\nrand_augment = "none"')
    expected = recipes.load("bnext").override(epochs=64, rand_augment="none")
    assert recipes.load(mine) == expected and expected.warmup_epochs == 1
    further = tmp_path / "further.toml"
    further.write_text(f'extends = "{mine.name}"\noptimizer = "sgd"\nlearning_rate = 0.1')
    assert recipes.load(further) == expected.override(optimizer="sgd", learning_rate=0.1)
    assert recipes.load(further).beta_1 is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "nosuch"', "Unknown recipe that .* extends: 'nosuch'; valid: bnas, "),
        ('extends = "gone.toml"', "Cannot read .*gone.toml: No such file"),
        ('extends = "mine.toml"', "extends itself"),
        ("extends = 3", "extends in .* must be the name of a recipe, or a file .* Received: 3"),
        ('extends = "bnext"\nwarmup_epochs = 999', "warmup_epochs must be less than the 512 epochs"),
    ],
)
def test_extensions_that_cannot_be(text, message, tmp_path):
    with pytest.raises(UserError, match=message):
        recipes.load(written(tmp_path, text))


def test_a_recipe_survives_a_runs_config(tmp_path):
    for name in NAMES:
        saved = json.loads(json.dumps(dataclasses.asdict(recipes.load(name))))
        assert Recipe(**saved) == recipes.load(name)


def test_stems_by_data():
    kinds = [("small", 32), ("photographs", 224), ("digits", 32)]
    assert [registry.default_stem("meliusnet22", *kind) for kind in kinds] == ["thumbnail", None, None]


@pytest.mark.parametrize("name", registry.list_models())
def test_every_network_can_be_built_with_its_default_stem(name):
    stem = registry.default_stem(name, "small", 32)
    assert (stem is None) == name.startswith("mobilenet")
    cells = genotype.CIFAR10 if name == "bnas" else {}
    registry.paper_of(name).check(registry.variant(name) | ({"stem": stem} if stem else {}) | cells)


def test_the_progressive_test_network_is_progressive():
    assert len(quantizers.progressive(network(True))) == 1 and not quantizers.progressive(network(False))


def test_a_trained_network_is_evaluated_with_its_recipes_images(shared):
    config = dataclasses.asdict(recipes.load("bnext"))
    trained_on = trained.TrainingData("imagenet2012", str(shared / "tfds"), "photographs", config)
    path = Path("best.keras")
    network = trained.TrainedNetwork(path, print, (224, 224, 3), 1000, trained_on=trained_on)
    own = data.open("imagenet2012", shared / "tfds", augmentation=recipes.load("bnext").augmentation)
    standard = data.open("imagenet2012", shared / "tfds")
    taken, expected, other = (
        next(found.test(2, limit=2).as_numpy_iterator())[0]
        for found in (network.dataset(None), own, standard)
    )
    np.testing.assert_array_equal(taken, expected)
    assert np.abs(taken - other).mean() > 1


class StopError(Exception):
    """What ends a run in its middle."""


class Kill(tf.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            raise StopError


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"optimizer": "bop", "bop_gamma": 0.1}, id="bop"),
        pytest.param(
            {
                **{"optimizer": "adamw", "weight_decay": 0.1, "kernel_weight_decay": 0.5, "clip_norm": 0.1},
                **{"decay_groups": "binary", "temperature_decay": 0.5},
            },
            id="adamw",
        ),
    ],
)
@pytest.mark.large
def test_a_stopped_run_ends_like_an_undisturbed_one(changes, tmp_path):
    tried = Recipe(**{"epochs": 1, "batch_size": 8, "optimizer": "adam", "learning_rate": 0.01, **changes})

    def run(folder, *callbacks):
        training.make_deterministic(0)
        model = network(progressive=tried.temperature_decay is not None)
        digits = data.open("digits", train_examples=40)
        options = {"checkpoint_steps": 1, "extra_callbacks": callbacks}
        with small_run.no_report():
            training.train(model, digits, tried, folder, seed=0, **options)
        return model.get_weights()

    with pytest.raises(StopError):
        run(tmp_path / "stopped", Kill())
    for ours, undisturbed in zip(run(tmp_path / "stopped"), run(tmp_path / "undisturbed"), strict=True):
        np.testing.assert_array_equal(ours, undisturbed)
