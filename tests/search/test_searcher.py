"""The two updates of a step."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.search.searcher import Searcher, mean_entropy
from bnn_keras.settings.search import SearchSettings
from bnn_keras.training import objective
from bnn_keras.training.optimizers import SGD, Adam
from tests.search import small_search
from tests.search.small_search import SPACE

RATE = 0.05


def searcher(**settings):
    tf.keras.utils.set_random_seed(0)
    made = Searcher(small_search.network(), SPACE, SearchSettings(**settings))
    made.compile(SGD(RATE, momentum=0.9), objective.CrossEntropy(), objective.metrics(10), run_eagerly=True)
    return made


def batches():
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (2, 6, 32, 32, 3)).astype(np.float32)
    pairs = (images[0], images[1]), (np.arange(6), np.arange(6) + 2)
    return tf.nest.map_structure(tf.constant, pairs)


def by_name(variables):
    return {variable.name: variable.numpy() for variable in variables}


def test_scores_first_by_their_batch_and_then_weights_by_theirs():
    (images, others), (labels, other_labels) = data = batches()
    made, twin = searcher(), searcher()
    made.train_step(data)
    # Step by step.
    loss_of, scores = objective.CrossEntropy(), list(twin.scores.values())
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = loss_of(other_labels, twin(others, training=True)) - mean_entropy(twin.scores)
    Adam(3e-4, 0.5, 0.999, weight_decay=1e-3).apply_gradients(
        zip(tape.gradient(loss, scores), scores, strict=True)
    )
    with tf.GradientTape() as tape:
        loss = loss_of(labels, twin(images, training=True))
    weights = twin.network.trainable_variables
    SGD(RATE, momentum=0.9).apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    found, wanted = by_name(made.network.variables), by_name(twin.network.variables)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_what_is_measured():
    made = searcher()
    data = batches()
    results = {key: float(value) for key, value in made.train_step(data).items()}
    assert set(results) == {"loss", "accuracy", "top5", "score_loss", "entropy"}
    assert results["entropy"] == pytest.approx(np.log(3), abs=1e-4)
    assert set(made.test_step((data[0][0], data[1][0]))) == {"loss", "accuracy", "top5"}


def test_the_scores_are_no_weights_of_the_first_optimizer():
    made = searcher()
    assert not {id(s) for s in made.scores.values()} & {id(w) for w in made.trainable_variables}
    assert all(scores.shape == (2, 3) for scores in made.scores.values())
    assert all(0 < np.std(scores.numpy()) < 3e-3 for scores in made.scores.values())


def test_diversity_loses_weight_from_epoch_to_epoch():
    """Without images that say anything, the scores follow the entropy alone."""
    made = searcher(diversity=2.0, diversity_decay=5.0)
    seen = []
    made.score_optimizer.apply_gradients = lambda pairs: seen.extend(gradient for gradient, _ in pairs)
    made.scores["normal"].assign(tf.reshape(tf.range(6.0), (2, 3)))
    images = np.zeros((4, 32, 32, 3), np.float32)
    made.network.get_layer("head").kernel.assign(tf.zeros_like(made.network.get_layer("head").kernel))
    for epoch, weight in ((0, 2.0), (4, 2 * np.exp(-4 / 5))):
        seen.clear()
        made.epoch.assign(epoch)
        made._update_scores(tf.constant(images), tf.range(4))
        with tf.GradientTape() as tape:
            tape.watch(list(made.scores.values()))
            entropy = -weight * mean_entropy(made.scores)
        np.testing.assert_allclose(seen[0], tape.gradient(entropy, made.scores["normal"]), rtol=1e-5)
        assert np.abs(seen[0]).max() > 1e-3


def test_settings_of_the_scores_optimizer():
    config = searcher(score_learning_rate=0.5, score_weight_decay=0.25).score_optimizer.get_config()
    assert (config["beta_1"], config["beta_2"], config["weight_decay"]) == (0.5, 0.999, 0.25)
    assert config["learning_rate"]["config"]["value"] == 0.5


def test_entropy():
    one, other = tf.constant([[0.0, 0, 0], [0, 100, 0]]), tf.constant([[0.0, 0, 100], [0, 0, 0]])
    scores = {"normal": one, "reduction": other}
    assert float(mean_entropy(scores)) == pytest.approx(np.log(3) / 2)
    # The code counts the last edge of the reduction cell for each of its edges.
    assert float(mean_entropy(scores, released=True)) == pytest.approx(3 * np.log(3) / 4)


def test_the_released_entropy_is_used():
    seen = {}
    for released in (False, True):
        made = searcher(released_diversity=released)
        made.scores["reduction"].assign(tf.constant([[0.0, 0, 0], [0, 0, 9]]))
        (_, images), (_, labels) = batches()
        made._update_scores(images, labels)
        seen[released] = float(made.entropy.result())
    assert seen[True] < seen[False] - 0.05
