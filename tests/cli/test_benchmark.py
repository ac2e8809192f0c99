"""The benchmarks run and print what they promise; the numbers are not tested."""

import platform
import re
import time

import pytest

import zoo
from bnn_keras import cli, deploy
from bnn_keras.cli.benchmark import distill, timing
from bnn_keras.deploy import rewrite
from tests import small_run
from tests.distillation.test_runs import tiny
from tests.networks import binary_conv, network_around


def main(*words):
    return cli.run(["benchmark", *words])


@pytest.mark.large
def test_a_training_step(capsys):
    assert main("step", "--image_size=32", "--batch_size=2", "--repeats=2") == 0
    shown = capsys.readouterr().out
    assert "larq-zoo: " in shown and "bnn_keras: " in shown and "A/A ratio" in shown and "TensorFlow" in shown


@pytest.mark.large
def test_a_conversion(capsys):
    assert main("convert", "--model=meliusnet22", "--image_size=32", "--repeats=1") == 0
    shown = capsys.readouterr().out
    for name in ("lce.convert_keras_model: ", "bnn_keras.deploy.to_flatbuffer: ", "A/A ratio"):
        assert name in shown


def test_what_rewrites_save(monkeypatch, capsys):
    monkeypatch.setattr(zoo, "build", lambda name, shape: small_run.network(4))
    assert main("rewrites", "--model=bnext_t") == 0
    _, _, row, lce, xnnpack = capsys.readouterr().out.splitlines()
    tflite, rewritten, plain, with_xnnpack = map(float, row.split("|")[2:-1])
    assert rewritten <= tflite and with_xnnpack <= plain
    assert lce.startswith("lce: ") and xnnpack.startswith("lce_xnnpack: ") and "LceBconv2d " in lce


def test_the_counting_of_flips(eager, monkeypatch, capsys):
    monkeypatch.setattr(zoo, "build", lambda name, shape, classes: small_run.network(classes))
    assert main("flips", "--image_size=32", "--batch_size=2", "--repeats=2") == 0
    shown = capsys.readouterr().out
    assert "without: " in shown and "with flips counted: " in shown and "A/A ratio" in shown


@pytest.mark.large
def test_distillation_is_compared_with_the_sum_of_its_parts(monkeypatch, capsys):
    monkeypatch.setattr(zoo, "build", lambda name, shape, classes: tiny(classes))
    assert main("distill", "--image_size=32", "--batch_size=2", "--repeats=1") == 0
    shown = capsys.readouterr().out
    names = (distill.ALONE, distill.ASKED, distill.TAUGHT, distill.CACHED)
    times = [float(shown.split(f"\n{name}: ")[1].split(" ms")[0]) for name in names]
    ratio = float(shown.split(f"{distill.ALONE} + {distill.ASKED}: ")[1].split(",")[0])
    assert ratio == pytest.approx(times[2] / (times[0] + times[1]), rel=0.05)
    assert "A/A ratio" in shown


# XLA takes its time to compile even a small step.
@pytest.mark.parametrize(
    "flag", [pytest.param(flag, marks=pytest.mark.large) for flag in ("--jit", "--mixed_precision")]
)
def test_a_training_step_and_what_could_make_it_shorter(flag, monkeypatch, capsys):
    monkeypatch.setattr(zoo, "build", lambda name, shape, classes: small_run.network(classes))
    words = ["--model=bnext_t", "--image_size=32", "--batch_size=4", "--repeats=2", flag]
    assert main("train", *words) == 0
    shown = capsys.readouterr().out
    assert "bnext_t at 32 pixels, 4 images a step, adamw, 2 of each" in shown
    assert f"step with {flag[2:].replace('_', ' ')}: " in shown and "step with its input: " in shown
    assert "A/A ratio" in shown and "peak memory of the process: " in shown and "cores" in shown


def test_the_throughput_of_both_pipelines(shared, capsys):
    flags = ["--images=40", "--image_size=32", "--batch_size=16", "--repeats=1", "--lighting=0.1"]
    assert main("data", f"--data_dir={shared / 'tfds'}", *flags) == 0
    out = capsys.readouterr().out
    for text in (
        "bare ",
        "training reaches",
        "augmented reaches",
        "images/s (median of 1)",
        "32 images in batches of 16",
        "A/A",
    ):
        assert text in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["convert", "--model=alexnet"], "Unknown model 'alexnet'"),
        (["rewrites"], "Give --model, a network of the zoo. Received: none"),
        (["data", "--batch_size=4", "--images=3"], "from 1 to 3, the images. Received: 4"),
        (["data", "--data_dir=no/such/folder"], "imagenet2012 is not in"),
        (["data", "--rand_augment=rand-q"], "rand_augment must read like"),
        (["data", "word"], "Unexpected argument 'word'"),
        (["data", "--repeats=0"], "--repeats=0: it must be a whole number from 1 up"),
    ],
)
def test_mistakes(words, sentence, capsys):
    assert main(*words) == 2
    assert sentence in capsys.readouterr().err


def test_interleaved_takes_turns_and_times_the_baseline_twice():
    calls = []
    measured = timing.interleaved(
        {"slow": lambda: (calls.append("slow"), time.sleep(0.02)), "fast": lambda: calls.append("fast")}, 3
    )
    assert [sorted(calls[i : i + 3]) for i in (0, 3, 6)] == [["fast", "slow", "slow"]] * 3
    assert calls[:3] != calls[3:6] or calls[3:6] != calls[6:]
    assert len(measured.seconds["slow"]) == len(measured.again) == 3 and measured.baseline == "slow"
    assert measured.median("slow") >= 0.02 and measured.ratio("fast") < 0.5
    assert measured.ratio("slow") == 1 and 0.5 < measured.aa_ratio < 2


def test_medians_and_ratios():
    measured = timing.Timing({"a": (1.0, 2.0, 9.0), "b": (4.0, 4.0, 1.0)}, (3.0, 1.0, 3.0))
    # Of 4, 2 and 1/9, and of 3, 1/2 and 1/3.
    assert (measured.median("a"), measured.ratio("b"), measured.aa_ratio) == (2.0, 2.0, 0.5)
    # Of 1/5, 2/6 and 9/10.
    assert measured.ratio("a", "a", "b") == 2 / 6


def test_machine_is_one_line():
    machine = timing.machine()
    assert "cores" in machine and "TensorFlow 2." in machine and "\n" not in machine


@pytest.fixture(scope="module")
def two_files(tmp_path_factory):
    """A file for LCE, and the portable one of the same network."""
    model, folder = network_around(binary_conv()), tmp_path_factory.mktemp("files")
    for runtime in ("lce", "builtin"):
        options = rewrite.Options(runtime, rewrite.NAMES)
        (folder / f"{runtime}.tflite").write_bytes(deploy.to_flatbuffer(model, options=options))
    return [str(folder / f"{runtime}.tflite") for runtime in ("lce", "builtin")]


def test_files_take_turns(two_files, capsys, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert main("infer", *two_files, "--repeats=3") == 0
    shown = capsys.readouterr().out
    rows = [re.split(r" {2,}", line.strip()) for line in shown.splitlines() if ".tflite" in line]
    assert [row[-1] for row in rows] == [
        "LCE's interpreter, XNNPACK and its binary kernels",
        "LiteRT, XNNPACK",
    ]
    assert rows[0][3] == "1.000" and all(float(row[1]) <= float(row[2]) for row in rows)
    assert all(10 < float(row[4]) < 1000 for row in rows)
    assert "1 threads, 3 images of each file, interleaved" in shown and "A/A ratio of the first" in shown
    assert "This is x86: LCE has fast binary kernels for ARM64 only" in shown
    assert main("infer", two_files[1], "--repeats=2") == 0
    assert "This is x86" not in capsys.readouterr().out


def test_mistakes_of_infer(two_files, capsys):
    for words, sentence in (
        ([], "Name one or more .tflite files. Received: none."),
        ([two_files[0]] * 2, "Name each file once. Received: "),
        (["missing.tflite"], "Cannot read missing.tflite: No such file"),
        ([two_files[0], "--threads=0"], "--threads=0: it must be a whole number from 1 up"),
    ):
        assert main("infer", *words) == 2
        assert sentence in capsys.readouterr().err


@pytest.mark.large
def test_other_networks_stand_beside(two_files, capsys):
    assert main("infer", two_files[1], "--repeats=2", "--mobilenet", "--larq_zoo") == 0
    shown = capsys.readouterr().out
    assert "MobileNet-v1" in shown and "larq-zoo's MeliusNet22" in shown


def test_a_function_may_measure_itself():
    found = timing.interleaved({"one": lambda: 2.0, "other": lambda: 4.0}, 10, timed=True)
    assert (found.median("one"), found.ratio("other"), found.quantile("other", 0.9)) == (2, 2, 4)
    assert timing.Timing({"one": tuple(map(float, range(1, 11)))}, (1.0,)).quantile("one", 0.9) == 9
