"""The benchmark of a training step: what it prints, and that lower precision leaves signs alone."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.benchmark import __main__ as benchmark
from bnn_keras.benchmark import train
from tests import small_run


def test_float_layers_are_lowered_and_binary_ones_are_not():
    network = small_run.network()
    twin = train.in_bfloat16(network)
    types = {layer.name: (layer.compute_dtype, layer.variable_dtype) for layer in twin.layers}
    assert types["stem"] == types["bn"] == ("bfloat16", "float32")
    assert types["block0/conv"] == types["head"] == ("float32", "float32")
    twin.set_weights(network.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    assert twin(images).dtype == tf.float32
    # A convolution behind the same signs is the same to the last bit.
    signs = tf.constant(np.random.default_rng(1).choice([-1.0, 1.0], (2, 4, 4, 32)), tf.float32)
    np.testing.assert_array_equal(*(m.get_layer("block1/conv")(signs) for m in (network, twin)))


# XLA takes its time to compile even a small step.
@pytest.mark.parametrize("flag", [pytest.param("--jit", marks=pytest.mark.large), "--mixed_precision"])
def test_everything_asked_for_is_measured(flag, monkeypatch, capsys):
    monkeypatch.setattr(train.registry, "build", lambda name, shape, classes: small_run.network(classes))
    words = [
        "benchmark",
        "train",
        "--model=bnext_t",
        "--image_size=32",
        "--batch_size=4",
        "--repeats=2",
        flag,
    ]
    assert benchmark.main(words) == 0
    shown = capsys.readouterr().out
    assert "bnext_t at 32 pixels, 4 images a step, adamw, 2 of each" in shown
    assert f"step with {flag[2:].replace('_', ' ')}: " in shown and "step with its input: " in shown
    assert "A/A ratio" in shown and "peak memory of the process: " in shown and "cores" in shown
