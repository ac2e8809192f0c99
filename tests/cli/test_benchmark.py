"""The benchmarks run and print what they promise; what they print is no test's concern."""

import pytest

from bnn_keras.cli import verbs
from bnn_keras.cli.benchmark import distill, timing
from tests.distillation.test_runs import tiny
from zoo import registry


def main(*words):
    return verbs.main(["bnn", "benchmark", *words])


@pytest.mark.large
def test_a_training_step(capsys):
    assert main("step", "--image_size=32", "--batch_size=2", "--repeats=2") == 0
    shown = capsys.readouterr().out
    assert "larq-zoo: " in shown and "bnn_keras: " in shown and "A/A ratio" in shown and "TensorFlow" in shown


@pytest.mark.large
def test_the_counting_of_flips(capsys):
    assert main("flips", "--image_size=32", "--batch_size=2", "--repeats=2") == 0
    shown = capsys.readouterr().out
    assert "without: " in shown and "with flips counted: " in shown and "A/A ratio" in shown


@pytest.mark.large
def test_a_conversion(capsys):
    assert main("convert", "--model=meliusnet22", "--image_size=32", "--repeats=1") == 0
    shown = capsys.readouterr().out
    assert (
        "lce.convert_keras_model: " in shown
        and "bnn_keras.deploy.to_flatbuffer: " in shown
        and "A/A" in shown
    )


@pytest.mark.large
def test_distillation_is_compared_with_the_sum_of_its_parts(monkeypatch, capsys):
    monkeypatch.setattr(registry, "build", lambda name, shape, classes: tiny(classes))
    words = ["--image_size=32", "--batch_size=2", "--repeats=1"]
    assert main("distill", *words) == 0
    shown = capsys.readouterr().out
    names = (distill.ALONE, distill.ASKED, distill.TAUGHT, distill.CACHED)
    times = [float(shown.split(f"\n{name}: ")[1].split(" ms")[0]) for name in names]
    ratio = float(shown.split(f"{distill.ALONE} + {distill.ASKED}: ")[1].split(",")[0])
    assert ratio == pytest.approx(times[2] / (times[0] + times[1]), rel=0.05)
    assert "A/A ratio" in shown


def test_unknown_benchmarks_and_models(capsys):
    assert main("speed") == 2
    assert (
        "Unknown benchmark 'speed'; valid: data, convert, step, train, flips, distill"
        in capsys.readouterr().err
    )
    assert main("convert", "--model=alexnet") == 2
    assert "Unknown model 'alexnet'" in capsys.readouterr().err


def test_interleaved_calls_each_as_often_and_the_first_twice():
    calls = []
    times = timing.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=6)
    assert calls.count("a") == 12 and calls.count("b") == 6
    assert times.baseline == "a" and times.ratio("a") == 1 and times.aa_ratio > 0
