"""The command preview: which images it draws, where it writes, and what it refuses."""

import pytest
from matplotlib.figure import Figure
from PIL import Image

from bnn_keras import cli
from bnn_keras.data import preview
from bnn_keras.settings.augmentation import Augmentation

RECIPE = """
epochs = 1
batch_size = 2
optimizer = "sgd"
learning_rate = 0.1
rand_augment = "rand-m3-inc1-n1"
"""


@pytest.fixture
def drawn(monkeypatch):
    """What the command asks for, in place of the pictures."""
    asked = []

    def draw(*arguments):
        asked.append(arguments)
        return Figure(figsize=(1, 1))

    monkeypatch.setattr(preview, "draw_epochs", draw)
    monkeypatch.setattr(preview, "draw_operations", draw)
    return asked


def test_the_flags_decide_what_is_drawn(drawn, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    flags = ["--image_size=16", "--images=3", "--epochs=2", "--seed=5", "--mixup=1", f"--output={sheet}"]
    assert cli.run(["preview", *flags]) == 0
    assert capsys.readouterr().out == f"{sheet}\n"
    ((dataset, images, epochs, seed),) = drawn
    assert (dataset.name, dataset.image_size, images, epochs, seed) == ("digits", 16, 3, 2, 5)
    assert dataset.augmentation == Augmentation(mixup=1.0)
    with Image.open(sheet) as picture:
        assert picture.size == (110, 110)


def test_flags_change_the_augmentation_of_a_recipe(drawn, tmp_path, capsys):
    (tmp_path / "own.toml").write_text(RECIPE)
    flags = [f"--recipe={tmp_path}/own.toml", "--flip", f"--output={tmp_path}/a.png"]
    for words in ([], ["operations"]):
        assert cli.run(["preview", *words, *flags]) == 0
    assert drawn[0][0].augmentation == Augmentation(rand_augment="rand-m3-inc1-n1", flip=True)
    assert drawn[1][1]  # the operations grow with the magnitude, as the recipe's do
    assert cli.run(["--recipe=none_such"]) == 2
    assert "none_such" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "Unknown picture 'show'; valid: operations"),
        (["operations", "twice"], "Unexpected argument 'twice'"),
        (["--output=a.jpg"], "must end in .png or .pdf or .svg. Received: 'a.jpg'"),
        (["--dataset=none_such"], "Unknown data set 'none_such'"),
        (["--images=0"], "images"),
        (["--crop_area=0.5,0.2"], "in ascending order"),
        (["--output=FOLDER/file/a.png"], "Cannot write"),
    ],
)
def test_mistakes(arguments, message, drawn, tmp_path, capsys):
    (tmp_path / "file").touch()
    arguments = [argument.replace("FOLDER", str(tmp_path)) for argument in arguments]
    assert cli.run(["preview", *arguments, f"--data_dir={tmp_path}"]) == 2
    assert message in capsys.readouterr().err
