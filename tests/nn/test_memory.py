"""Requests that cannot fit into memory are refused before it is taken."""

import re

import pytest
import tensorflow as tf

import bnn_keras
import zoo
from bnn_keras import data
from bnn_keras.errors import UserError
from bnn_keras.nn import memory
from bnn_keras.runs.trained import TrainedNetwork

SMALL = {"blocks": (1, 1, 1, 1), "channels": (32, 32, 32)}


def test_available_memory_is_that_of_the_machine_or_its_container(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "LIMIT", tmp_path / "none")
    machine = memory.available()
    assert 2**20 < machine < 2**45
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "LIMIT", limit)
    limit.write_text("max\n")
    assert memory.available() == pytest.approx(machine, rel=0.5)
    limit.write_text("1048576\n")
    assert memory.available() == 2**20


def test_weights_are_refused_before_the_first_that_does_not_fit():
    image = tf.keras.Input((100,))
    with memory.checked_weights("m"):
        tf.keras.layers.Dense(3)(image)
        with pytest.raises(
            UserError, match=r"^The weights of m would take 3,725.3 GiB of memory; .* are free.$"
        ):
            tf.keras.layers.Dense(10**10)(image)
    with pytest.raises(UserError, match="The weights of meliusneta would take 1[0-9][0-9].* GiB"):
        zoo.build("meliusneta", (32, 32, 3), 10, **{**SMALL, "growth": 65536})


@pytest.mark.parametrize("what", ["images", "tensors"])
def test_batches_that_do_not_fit(what, monkeypatch, tmp_path):
    digits = data.open("digits", train_examples=64)
    network = zoo.build("meliusneta", (32, 32, 3), 10, **SMALL)
    batch = 64 * 32 * 32 * 3 * 4
    monkeypatch.setattr(memory, "available", lambda: batch - (what == "images"))
    largest = (
        "A batch of 64 images of 32 pixels" if what == "images" else "The largest tensor of meliusneta for 64"
    )
    recipe = bnn_keras.Recipe(epochs=1, batch_size=64, optimizer="adam", learning_rate=0.01)
    with pytest.raises(UserError, match=re.escape(largest)):
        bnn_keras.train(network, digits, recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    trained = TrainedNetwork(tmp_path, network.predict_on_batch, (32, 32, 3), 10, network)
    with pytest.raises(UserError, match="The largest tensor of meliusneta for 64"):
        bnn_keras.evaluate(trained, digits, batch_size=64)
