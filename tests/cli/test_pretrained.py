"""--weights=imagenet in train, convert, evaluate and predict, against a local server."""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
from bnn_keras import cli, training, weights
from bnn_keras.cli import pretrained
from bnn_keras.data import imagenet
from bnn_keras.deploy.bundle import job
from tests.networks import images
from tests.zoo import published
from tests.zoo.published import NAME, SIZE

FINISHED = Path(__file__).parents[1] / "fixtures" / "finished"
NOTE = "published by larq-zoo: top-1 62.4 % on ImageNet; licence: Apache-2.0"
CAT = "n02123045", "tabby", 281


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with published.published(tmp_path_factory.mktemp("cache")) as served:
        yield served


@pytest.fixture(scope="module")
def cached_build():
    return functools.cache(pretrained.build)


@pytest.fixture
def built_once(cached_build, monkeypatch):
    """Building takes more time than running."""
    monkeypatch.setattr(pretrained, "build", cached_build)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of images whose classes have ImageNet's identifiers."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, name in enumerate((CAT[0], "n01440764")):
        (folder / name).mkdir()
        Image.fromarray(images(1, 256, seed=number)[0].astype(np.uint8)).save(folder / name / "a.png")
    return folder


def converted(monkeypatch, *words):
    """The source that the conversion of published weights is asked for."""
    sources = []
    monkeypatch.setattr(job, "write", lambda *asked: sources.append(asked))
    assert cli.run(["convert", f"--model={NAME}", "--weights=imagenet", f"--image_size={SIZE}", *words]) == 0
    return sources[0][:2]


def test_convert_needs_nothing_but_the_name(served, monkeypatch, capsys):
    source, compared = converted(monkeypatch)
    assert f"/weights/meliusnet22_weights.h5: {NOTE}\n" in capsys.readouterr().out
    assert compared.dataset == "scikit-learn's sample photographs"
    network = source.network
    assert (source.name, str(source.output), network.trained_on.dataset) == (
        NAME, "meliusnet22.tflite", "imagenet2012"
    )  # fmt: skip
    assert network.class_names[:2] == ("tench", "goldfish") and network.class_names[CAT[2]] == CAT[1]
    preparing = network.preprocessing
    assert (preparing.interpolation, preparing.shorter_side) == ("bicubic", round(SIZE * 256 / 224))


@pytest.mark.large
def test_the_converted_file_names_the_classes_and_knows_its_data(served, photographs, tmp_path, capsys):
    out = tmp_path / "m.tflite"
    words = [f"--model={NAME}", "--weights=imagenet", f"--image_size={SIZE}", f"--output={out}", "--images=2"]
    assert cli.run(["convert", *words]) == 0
    manifest = json.loads(out.with_suffix(".json").read_text())
    assert len(manifest["class_names"]) == 1000 and manifest["class_names"][CAT[2]] == CAT[1]
    assert manifest["input"]["dataset"] == "imagenet2012"
    capsys.readouterr()
    assert cli.run(["evaluate", str(out), f"--dataset=folder:{photographs}", "--json=-"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 2


@pytest.mark.large
def test_one_command_makes_a_bundle_that_checks_itself(served, tmp_path):
    place = tmp_path / "out"
    words = [f"--model={NAME}", "--weights=imagenet", f"--bundle={place}", "--runtime=both"]
    assert cli.run(["convert", *words, f"--image_size={SIZE}", "--images=8"]) == 0
    assert (place / "model" / "labels.txt").read_text().splitlines()[CAT[2]] == CAT[1]
    script = [sys.executable, "-B", str(place / "python" / "classify.py"), "--check"]
    for more in ([], [f"--file={place / 'model' / NAME}.tflite"]):
        done = subprocess.run([*script, *more], capture_output=True, text=True)
        assert done.returncode == 0 and "8 of 8 samples" in done.stdout, done.stdout + done.stderr


@pytest.mark.usefixtures("built_once", "eager")
def test_predict_names_classes(served, photographs, capsys):
    (file,) = (photographs / CAT[0]).iterdir()
    assert cli.run(["predict", NAME, str(file), "--weights=imagenet", "--json=-", "--top=1000"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert {answer["name"] for answer in answers["images"][0]["classes"]} == set(imagenet.names())
    assert answers["network"].endswith("weights/meliusnet22_weights.h5")


@pytest.mark.usefixtures("built_once", "eager")
def test_evaluate_matches_identifiers_with_names(served, photographs, capsys):
    words = ["--weights=imagenet", f"--dataset=folder:{photographs}", "--json=-"]
    assert cli.run(["evaluate", NAME, *words, f"--compare={NAME}"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert np.flatnonzero(np.sum(written["confusion"], axis=1)).tolist() == [0, CAT[2]]
    assert written["compare"]["only_first_right"] == written["compare"]["only_second_right"] == 0
    assert cli.run(["evaluate", NAME, *words, f"--compare={FINISHED}"]) == 2
    assert "finished/best.keras has 10: valid are two networks" in capsys.readouterr().err


@pytest.mark.usefixtures("built_once")
def test_evaluate_takes_imagenet_if_nothing_else_is_named(served, tmp_path, capsys):
    assert cli.run(["evaluate", NAME, "--weights=imagenet", f"--data_dir={tmp_path}"]) == 2
    assert f"imagenet2012 is not in {tmp_path}" in capsys.readouterr().err


def trained(monkeypatch, *words):
    """The network and the options of the training that is asked for."""
    calls = []
    monkeypatch.setattr(training, "make_deterministic", lambda seed: None)
    monkeypatch.setattr(training, "train", lambda *given, **options: calls.append((given[0], options)))
    assert cli.run(["train", *words, "--train_examples=64"]) == 0
    return calls[0]


def test_training_starts_from_them_with_a_new_head(served, tmp_path, monkeypatch):
    words = [f"--model={NAME}", "--weights=imagenet", f"--output_dir={tmp_path / 'run'}"]
    network, options = trained(monkeypatch, *words)
    assert options["settings"]["weights"] == "imagenet"
    # The settings of the weights, and not those of the data.
    overrides = options["settings"]["overrides"]
    assert overrides["normalization"] == "larq_zoo" and overrides["stem_pool"] == 2
    said = weights.load(network, options["weights"], new_head=True, note=options["weights_note"])
    assert said.endswith(f"_weights.h5, with a new head (the file's has 1000 classes); {NOTE}")
    assert network.output_shape == (None, 10)


def test_a_run_that_was_begun_resumes_without_the_file(served, tmp_path, monkeypatch):
    shutil.copytree(FINISHED.parent / "stopped", tmp_path / "run")
    words = [f"--model={NAME}", "--weights=imagenet", f"--output_dir={tmp_path / 'run'}"]
    monkeypatch.setenv("BNN_KERAS_CACHE", str(tmp_path / "empty"))
    _, options = trained(monkeypatch, *words)
    assert options["weights"] is None and options["settings"]["weights"] == "imagenet"
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["train", "--model=meliusnet29", "--weights=imagenet"],
            "of 'meliusnet29'; these networks have some: ",
        ),
        (
            ["convert", "--model=meliusneta", "--weights=imagenet"],
            "of 'meliusneta'; these networks have some: ",
        ),
        (["predict", str(FINISHED), "x.png", "--weights=imagenet"], f"of '{FINISHED}'; these networks have"),
        (["evaluate", "meliusnet", "--weights=imagenet"], "of 'meliusnet'; these networks have some: "),
        (["train", f"--model={NAME}", "--weights=imagenet", "--stem=conv7x7"], "a network with stem=grouped"),
        (
            ["convert", f"--model={NAME}", "--weights=imagenet", "--set=stem_pool=3"],
            "a network with stem_pool=2",
        ),
        (["convert", f"--model={NAME}", "--weights=imagenet", "--classes=7", "--image_size=64"], "at 'head'"),
        (["convert", "--model=bnext_t", "--weights=imagenet", "--image_size=64"], "save it as"),
    ],
)
def test_mistakes_are_one_sentence(served, words, sentence, capsys):
    assert cli.run(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line


def test_the_list_of_networks_says_which_have_weights(capsys):
    assert cli.run(["train", "--list_models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == zoo.list_models()
    noted = [line for line in lines if " " in line]
    assert len(noted) == 9 and f"{NAME:17}  --weights=imagenet: top-1 62.4 %" in noted
