"""Values and paths that no command can use: a sentence and status 2, before anything is done or written."""

import os

import pytest

from bnn_keras import cli, data
from bnn_keras.cli.train import FLAGS as TRAIN_FLAGS
from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import Number
from bnn_keras.settings.recipe import Recipe

GOOGOLS = "1" + "0" * 400
KINDS = {flag.name: getattr(flag.kind, "kind", flag.kind) for flag in TRAIN_FLAGS}
NUMBERS = {name: kind for name, kind in KINDS.items() if isinstance(kind, Number)}
WHOLE = sorted(name for name, kind in NUMBERS.items() if kind.whole)
REAL = sorted(name for name, kind in NUMBERS.items() if not kind.whole)
RECIPE = {"epochs": 3, "batch_size": 8, "optimizer": "sgd", "learning_rate": 0.1}
LONG = "n" * 300


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd):
    """Runs a command that is refused, and returns its sentence."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        before = sorted(tmp_path.rglob("*"))
        assert cli.run(words) == 2
        errors = capfd.readouterr().err
        assert errors.startswith("error: ") and errors.endswith(".\n") and errors.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return errors

    return run


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("text", [GOOGOLS, "1" + "0" * 25, str(2**63), "-1", "0.5", "nan", "", "1e3"])
def test_whole_numbers(name, text, refused):
    assert f"flag --{name}={text}: it must be a whole number from" in refused("train", f"--{name}={text}")


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "", "1,2", "abc"])
def test_real_numbers(name, text, refused):
    assert f"flag --{name}={text}: it must be a number" in refused("train", f"--{name}={text}")


def test_the_largest_whole_number_is_named(refused):
    assert "a whole number from 1 up, at most 2147483647." in refused(
        "summary", "bnext_t", "--classes=99999999999"
    )


@pytest.mark.parametrize("name", sorted({*WHOLE, *REAL} & {field for field in Recipe.__dataclass_fields__}))
@pytest.mark.parametrize("value", [10**400, float("nan"), float("inf"), "", "3", True, [1], b"3"], ids=repr)
def test_numbers_of_a_recipe(name, value):
    with pytest.raises(UserError, match=f"^{name} must be a (whole )?number "):
        Recipe(**{**RECIPE, name: value})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            f'extends = "bnext"\nepochs = {GOOGOLS}',
            "epochs must be a whole number from 1 up, at most 2147483647",
        ),
        (f"epochs = 1{'0' * 5000}", "is not TOML"),
        ('extends = "bnext"\nlearning_rate = nan', "learning_rate must be a number above 0"),
        ('extends = "bnext"\nlearning_rate = inf', "learning_rate must be a number above 0"),
        ('extends = "bnext"\noptimizer = ""', "optimizer must be one of"),
        ("x = " + "[" * 10_000, "is not TOML"),
        ('extends = "a\\u0000.toml"', "Cannot read .*a.*: embedded null byte"),
        (f'extends = "{LONG}.toml"', "Cannot read .*: File name too long"),
        ('extends = "inner/r.toml"', "Cannot read .*: Too many levels of symbolic links"),
    ],
)
def test_recipe_files(text, sentence, tmp_path):
    from zoo import recipes

    (tmp_path / "inner").symlink_to(tmp_path)  # one that leads into itself
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        recipes.load(tmp_path / "r.toml")


SETTINGS = {
    "blocks=abc": "must be a list of numbers, each a whole number from 1 to 100. Received: 'abc'.",
    "stem_pool=-1": "must be a whole number from 1 to 32. Received: -1.",
    f"stem_pool={GOOGOLS}": "must be a whole number from 1 to 32.",
    "channels=5": "channels has a number for each of the 3 transitions",
    "classes=3": "Unknown setting of meliusneta 'classes'; valid: ",
    "growth=65536": "The weights of meliusneta would take ",
    "kernel_clip=nan": "must be a number above 0, or none. Received: nan.",
    "normalization=": "must be the name of a data set, or none. Received: ''.",
}


@pytest.mark.parametrize("text", SETTINGS, ids=lambda text: text[:20])
def test_settings_of_networks(text, refused):
    assert SETTINGS[text] in refused("summary", "meliusneta", "--image_size=32", f"--set={text}")


PATHS = [
    ["summary", LONG],
    ["evaluate", LONG],
    ["predict", LONG, "image.png"],
    ["convert", LONG],
    ["convert", "--model=birealnet18", "--set=blocks=1,1", "--set=channels=8,8", "--weights=" + LONG],
    ["report", "page", LONG],
    ["report", "flips", LONG, "--output=a.png"],
    ["teachers", LONG],
    ["train", f"--recipe={LONG}.toml"],
    ["train", f"--dataset=folder:{LONG}"],
    ["train", "--dataset=folder:~nobody-at-all/images"],
    ["train", "--recipe=pipe.toml"],
    ["preview", f"--recipe={LONG}.toml"],
    ["evaluate", "closed"],
    ["report", "page", "closed"],
]


@pytest.mark.parametrize("words", PATHS, ids=lambda words: " ".join(words)[:40])
def test_paths(words, refused, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.toml")
    stat = os.stat

    def closed(path, *args, **kwargs):
        if str(path).startswith("closed/"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **kwargs)

    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "stat", closed)
    sentence = refused(*words)
    reasons = "File name too long", "There is no folder '~", "not a regular file", "Permission denied"
    assert any(reason in sentence for reason in reasons)


@pytest.mark.parametrize(
    "words",
    [
        ["data-service", "--port=65536"],
        ["data-service", "--host=a b"],
        ["data-service", "--host="],
        ["data-service", "--dispatcher=localhost:²"],
        ["data-service", "--dispatcher=a..b:5050"],
        ["train", "--data_service=localhost:65536"],
        ["preview", "--images=1000000000"],
        ["preview", "--epochs=1000000000"],
        ["preview", "--image_size=4097"],
        ["train", "--image_size=4097"],
        ["convert", "--image_size=4097"],
    ],
    ids=" ".join,
)
def test_flags_of_the_other_commands(words, refused):
    assert f"flag {words[1]}: it must be " in refused(*words)


def test_flags_are_refused_before_tensorflow_is_imported(monkeypatch):
    monkeypatch.setattr("bnn_keras.cli.door._import_tensorflow_quietly", lambda: pytest.fail("imported"))
    assert cli.run(["train", "--epochs=0"]) == 2


@pytest.mark.parametrize("edge", [0, -1, 4097, 10**25, 32.0, "32", True])
def test_image_sizes_of_the_library(edge):
    with pytest.raises(UserError, match="image_size must be a whole number from 1 to 4096, or none"):
        data.open("digits", image_size=edge)
