"""What the recipe's keys do to a step: parts of a batch, averages, frozen layers, and another precision."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import runs
from bnn_keras.errors import UserError
from bnn_keras.nn import layers, precision
from bnn_keras.training import trainer
from bnn_keras.training.averages import Averages
from bnn_keras.training.student import student_of
from tests import small_run
from tests.networks import images, network_around
from tests.small_run import RECIPE


def without_batch_norm():
    tf.keras.utils.set_random_seed(0)
    image = tf.keras.Input((8, 8, 3))
    x = tf.keras.layers.Conv2D(4, 3, strides=2)(image)
    x = layers.binary_conv(4, 3, name="binary")(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(10)(tf.keras.layers.Flatten()(x)))


def trained(parts):
    """The weights after three steps, and the last results."""
    network = without_batch_norm()
    recipe = RECIPE.replace(optimizer="sgd", learning_rate=0.1, momentum=0.9, accumulate=parts)
    fitted = trainer.compiled(trainer.plain_trainer(network), recipe, 3)
    fitted.run_eagerly = True  # to trace a step would take more time than three of them
    batch, labels = images(12, 8) / 255, np.arange(12) % 10
    fitted.evaluate(batch, labels, verbose=0)
    for _ in range(3):
        results = fitted.train_on_batch(batch, labels, return_dict=True)
    return network.get_weights(), results


def test_parts_of_a_batch_give_the_step_of_the_whole():
    (whole, expected), (parted, found) = trained(1), trained(3)
    for a, b in zip(whole, parted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "parts", "sentence"),
    [
        (trainer.plain_trainer, 3, r"accumulate must divide a batch of 16 images evenly. Received: 3"),
        (lambda net: tf.keras.Model(net.inputs, net.outputs), 2, r"accumulate=2 needs a trainer that is a "),
    ],
)
def test_parts_that_cannot_be_computed(make, parts, sentence):
    with pytest.raises(UserError, match=sentence):
        trainer.check_parts(make(without_batch_norm()), parts, 16, 1)
    with pytest.raises(UserError, match=r"a batch of 16 images on 4 devices evenly. Received: 8"):
        trainer.check_parts(trainer.plain_trainer(without_batch_norm()), 8, 16, 4)


def test_averages_are_those_of_a_loop():
    network = small_run.network()
    averages = Averages(network, 0.3)
    expected = [weight.copy() for weight in network.get_weights()]
    chance = np.random.default_rng(0)
    for step in range(1, 5):
        network.set_weights([weight + chance.normal(size=weight.shape) for weight in network.get_weights()])
        averages.update(tf.constant(step, tf.int64))
        m = min(0.3, (1 + step) / (10 + step))
        expected = [m * a + (1 - m) * w for a, w in zip(expected, network.get_weights(), strict=True)]
    own = network.get_weights()
    with averages.applied():
        for a, b in zip(network.get_weights(), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for a, b in zip(network.get_weights(), own, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_network_learns_a_classifier_alone_and_is_saved_as_any_other(tmp_path):
    recipe = RECIPE.replace(epochs=1, freeze=True, precision="mixed_bfloat16")
    network = small_run.train(tmp_path / "run", recipe)
    small_run.training.make_deterministic(small_run.SEED)
    before = small_run.network()
    for layer, start in zip(network.layers, before.layers, strict=True):
        same = all(map(np.array_equal, layer.get_weights(), start.get_weights()))
        assert same == (layer.name != "head" or not layer.weights)
    saved = tf.keras.models.load_model(runs.RunFolder(tmp_path / "run").best_model)
    assert all(layer.trainable for layer in saved.layers) and precision.computes_in(saved, "float32")


def test_binary_layers_and_logits_stay_exact_in_mixed_precision():
    network = network_around(lambda x: layers.binary_conv(8, 3, name="binary")(x))
    student = student_of(network, RECIPE.replace(precision="mixed_bfloat16"))
    kinds = {layer.name: layer.compute_dtype for layer in student.layers}
    assert kinds["binary"] == kinds[student.layers[-1].name] == "float32"
    assert set(kinds.values()) == {"float32", "bfloat16"}
    assert all(weight.dtype == tf.float32 for weight in student.weights)
    pair = [
        tf.keras.Model(net.inputs, [net.get_layer("binary").output, net.output]) for net in (network, student)
    ]
    (sums, logits), (low_sums, low_logits) = (model(images()) for model in pair)
    assert low_sums.dtype == low_logits.dtype == tf.float32
    np.testing.assert_array_equal(low_sums, np.round(low_sums))
    # Few signs differ; what follows is rounded to 8 bits.
    assert np.mean(sums != low_sums) < 0.2
    np.testing.assert_allclose(low_logits, logits, atol=0.05 * np.ptp(logits))
    assert student_of(network, RECIPE) is network and precision.computes_in(network, "float32")
