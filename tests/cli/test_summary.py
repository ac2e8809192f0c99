"""bnn summary: the table, the totals, and what it refuses."""

import csv
import functools
import io
import json

import pytest
import tensorflow as tf

import zoo
from bnn_keras import accounting, cli
from bnn_keras.cli import summary
from zoo import genotype

THIN = ("--set=blocks=1,1", "--set=channels=64,128")
SETTINGS = {"blocks": (1, 1), "channels": (64, 128)}


@pytest.fixture(scope="module", autouse=True)
def built_once():
    """Every network is built once: that takes more time than to count it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "build", functools.cache(zoo.build))
        yield


@pytest.fixture
def ask(capsys):
    def run(*arguments):
        status = cli.run(["summary", *arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_a_network_of_the_zoo(ask):
    status, out, _ = ask("resnete18", *THIN, "--image_size=64", "--classes=10", "--stem=conv7x7")
    expected = accounting.profile(zoo.build("resnete18", (64, 64, 3), 10, stem="conv7x7", **SETTINGS))
    assert status == 0
    lines = out.splitlines()
    assert len([line for line in lines if line.startswith("section")]) == sum(
        row.path.startswith("section") for row in expected.rows
    )
    row = next(line for line in lines if line.startswith("section1_unit1/conv"))
    assert row.split() == [
        "section1_unit1/conv", "QuantConv2D", "16", "x", "16", "x", "64", "36,864", "36,864", "4,608",
        f"{16 * 16 * 36864:,}", "0",
    ]  # fmt: skip
    for number in (expected.params, expected.binary_params, expected.bops, expected.flops):
        assert f" {number:,}" in out
    assert f"{expected.size_mib:.2f} MiB" in out and f"{expected.ops:,.0f}" in out


def test_json_and_csv_hold_every_row(ask):
    arguments = ("resnete18", *THIN, "--image_size=32")
    expected = accounting.profile(zoo.build("resnete18", (32, 32, 3), **SETTINGS))
    found = json.loads(ask(*arguments, "--json")[1])
    assert {key: found[key] for key in summary.TOTALS} == {
        key: getattr(expected, key) for key in summary.TOTALS
    }
    rows = list(csv.DictReader(io.StringIO(ask(*arguments, "--csv")[1])))
    assert len(rows) == len(found["rows"]) == len(expected.rows)
    assert sum(int(row["flops"]) for row in rows) == expected.flops
    conv = next(row for row in rows if row["path"] == "section1_unit1/conv")
    assert (conv["output_shape"], conv["kernel_shapes"]) == ("8x8x64", "3x3x64x64")


def test_the_twin_and_the_dense_layers(ask):
    tiny = ("resnete18", *THIN, "--image_size=32", "--json")
    assert json.loads(ask(*tiny, "--nobinary")[1])["binary_params"] == 0
    more = json.loads(ask(*tiny, "--dense")[1])["flops"] - json.loads(ask(*tiny)[1])["flops"]
    assert more == 128 * 1000


def test_a_network_with_the_cells_of_a_file(ask, tmp_path):
    (tmp_path / "genotype.json").write_text(json.dumps(genotype.CIFAR10))
    words = ("--image_size=32", "--set=cells=3", "--set=channels=4", "--json")
    found = json.loads(ask("bnas", f"--genotype={tmp_path}", *words)[1])
    expected = accounting.profile(zoo.build("bnas", (32, 32, 3), cells=3, channels=4, **genotype.CIFAR10))
    assert (found["model"], found["params"]) == ("bnas", expected.params)


def test_the_notes_are_printed_and_a_saved_model_needs_no_zoo(ask, tmp_path):
    image = tf.keras.Input((None, None, 3))
    y = tf.keras.layers.TimeDistributed(tf.keras.layers.Conv1D(2, 3), name="columns")(
        tf.keras.layers.Conv2D(4, 3, name="first")(image)
    )
    tf.keras.Model(image, y, name="own").save(tmp_path / "own.keras")
    file = str(tmp_path / "own.keras")
    status, out, _ = ask(file, "--image_size=10")
    assert status == 0
    assert f"{8 * 8 * 9 * 3 * 4:,}" in next(line for line in out.splitlines() if line.startswith("first"))
    assert "columns: operations not counted: no rule for the layer TimeDistributed" in out
    for arguments, message in (
        ((file,), "give input_shape="),
        ((file, "--classes=4"), "--classes is for networks of the zoo"),
        ((file, "--stem=grouped"), "--stem is for networks of the zoo"),
        ((file, "--genotype=g.json"), "--genotype is for networks of the zoo"),
        ((file, "--nobinary"), "--binary is for networks of the zoo"),
    ):
        status, out, error = ask(*arguments)
        assert (status, out) == (2, "") and message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name a model: one of the zoo, or one of its files. Received: none."),
        (("lenet",), "No network of the zoo and no file is called 'lenet'; the zoo has: binarydensenet28"),
        (("resnete18", "resnete34"), "Unexpected argument 'resnete34'"),
        (("resnete18", "--json", "--csv"), "--json and --csv are two formats"),
        (("resnete18", "--image_size=8"), "takes images from 32 x 32 pixels up"),
        (("resnete18", "--image_size=0"), "--image_size=0: it must be a whole number from 1 to 4096"),
        (("resnete18", "--classes=0"), "--classes=0: it must be a whole number from 1 up"),
        (("resnete18", "--stem=no"), "stem of resnete18 must be one of grouped"),
        (("resnete18", "--set=stem=no"), "stem of resnete18 must be one of grouped"),
        (("bnas",), "bnas has no cells of its own: give their genotype (in a command --genotype, "),
        (("bnas_a", "--genotype=g.json"), "--genotype is for --model=bnas. Received: bnas_a"),
        (("mobilenetv1_050", "--stem=grouped"), "Unknown setting of mobilenetv1_050 'stem'"),
    ],
    ids=str,
)
def test_mistakes(ask, arguments, message):
    status, out, error = ask(*arguments)
    assert (status, out) == (2, "")
    assert message in error and "Traceback" not in error
