"""The whole road of a network: a training step, saved, loaded, converted, verified."""

import numpy as np
import tensorflow as tf

from bnn_keras import deploy, weights
from bnn_keras.cli.benchmark.convert import randomise_statistics
from tests.networks import images, randomise


def train_save_load_convert(model, folder):
    """Take a small network down the whole road, and give the report of the verification.

    The layers that the report calls binary are so in the file, bit by bit.
    """
    train_a_step(randomise(model))
    report = save_load_convert(model, folder, images(2, model.input_shape[1]))
    assert not report.problems
    return report


def train_a_step(model):
    """A step that must move weights."""
    before = model.get_weights()
    trainer = tf.keras.Model(model.inputs, model.outputs)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # One eager step takes a fifth of the time that tracing it would.
    trainer.compile("sgd", loss, run_eagerly=True)
    trainer.train_on_batch(images(2, model.input_shape[1]), np.array([0, 1]))
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def save_load_convert(model, folder, compared):
    """The report of the verification of the loaded model's file, on these images."""
    randomise_statistics(model)
    model.save(folder / "model.keras")
    loaded = weights.read_model(folder / "model.keras")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True))
    return deploy.convert(loaded, compared)[1]
