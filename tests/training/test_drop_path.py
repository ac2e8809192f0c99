"""Drop path in training: how often, for which images, and the same after a run was stopped."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import training
from bnn_keras.errors import UserError
from bnn_keras.nn import layers
from bnn_keras.nn.drop_path import DropPath, ends_of_paths
from bnn_keras.settings.recipe import Recipe
from bnn_keras.training.drop_path import DroppedPaths
from tests import small_run

RECIPE = Recipe(epochs=2, batch_size=16, optimizer="sgd", learning_rate=0.01, drop_path=0.8)
STEPS = 4  # in an epoch


def network():
    """Two paths, each of which ends in a `DropPath`, and a shortcut."""
    image = tf.keras.Input((32, 32, 3))
    x = tf.keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = tf.keras.layers.Conv2D(8, 3, strides=4, padding="same", name="stem")(x)
    paths = [DropPath(name=f"path{i}")(layers.binary_conv(8, 3, name=f"conv{i}")(x)) for i in range(2)]
    x = tf.keras.layers.Add()([x, *paths])
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(10, name="head")(x), name="paths")


def dropped(step, seed=0, recipe=RECIPE):
    return DroppedPaths(recipe, STEPS, seed, tf.Variable(step, dtype=tf.int64))


def test_the_probability_rises_from_epoch_to_epoch():
    recipe = RECIPE.replace(epochs=4)
    found = [float(dropped(step, recipe=recipe).probability) for step in range(0, 16, 2)]
    np.testing.assert_allclose(found, [0, 0, 0.2, 0.2, 0.4, 0.4, 0.6, 0.6], atol=1e-12)
    # A longer run is at its peak.
    assert float(dropped(99, recipe=recipe).probability) == pytest.approx(0.8)


def test_so_many_images_lose_a_path_and_the_mean_stays():
    factors = dropped(STEPS)("path", tf.zeros((10_000, 2, 2, 3))).numpy()
    assert factors.shape == (10_000, 1, 1, 1)
    assert set(np.unique(factors)) == {0.0, np.float32(1 / np.float32(0.6))}
    deviation = np.sqrt(0.4 / 0.6 / 10_000)  # of the mean of 10,000 draws
    assert abs(factors.mean() - 1) < 5 * deviation
    assert (dropped(0)("path", tf.zeros((100, 1, 1, 1))).numpy() == 1).all()


def test_the_draw_depends_on_seed_step_and_path_alone():
    inputs = tf.zeros((64, 1, 1, 1))
    drawn = [
        dropped(step, seed)(name, inputs).numpy()
        for seed, step, name in [(0, 4, "a"), (0, 4, "a"), (1, 4, "a"), (0, 5, "a"), (0, 4, "b")]
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert all((drawn[0] != other).any() for other in drawn[2:])


def test_factors_have_the_precision_of_the_feature_map():
    assert dropped(4)("path", tf.zeros((2, 1, 1, 1), tf.bfloat16)).dtype == tf.bfloat16


class StopError(Exception):
    """What ends a run in its middle."""


class Kill(tf.keras.callbacks.Callback):
    """Ends a run after a step of its second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == STEPS + 2:
            raise StopError


def run(folder, *callbacks, recipe=RECIPE, model=None):
    training.make_deterministic(0)
    model = model or network()
    with small_run.no_report():
        training.train(
            model, small_run.digits(), recipe, folder, seed=0, checkpoint_steps=1, extra_callbacks=callbacks
        )
    return model


@pytest.mark.large
def test_a_stopped_run_ends_like_an_undisturbed_one_and_not_like_one_that_drops_nothing(tmp_path):
    with pytest.raises(StopError):
        run(tmp_path / "stopped", Kill())
    weights = run(tmp_path / "stopped").get_weights()
    undisturbed = run(tmp_path / "undisturbed")
    for ours, other in zip(weights, undisturbed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, other)
    plain = run(tmp_path / "plain", recipe=RECIPE.replace(drop_path=0.0)).get_weights()
    assert any((ours != other).any() for ours, other in zip(weights, plain, strict=True))
    # What is saved drops nothing.
    saved = tf.keras.models.load_model(tmp_path / "undisturbed" / "model.keras", compile=False)
    assert all(layer.factors is None for layer in ends_of_paths(saved))


def test_a_later_training_of_the_same_network_may_drop_nothing(tmp_path):
    """Both are ended before their first step: whether paths are dropped is chosen before that."""
    model, stop = network(), small_run.StopAtStart()
    for number, rate in enumerate((0.5, 0.0)):
        recipe = RECIPE.replace(epochs=1, drop_path=rate)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / str(number), stop, recipe=recipe, model=model)
        assert all((layer.factors is None) == (rate == 0) for layer in ends_of_paths(model))


def test_a_network_without_paths_refuses_the_key(tmp_path):
    with pytest.raises(UserError, match="drop_path must be 0 for tiny, which has no paths to drop.*: 0.8"):
        training.train(small_run.network(), small_run.digits(), RECIPE, tmp_path / "run")
    assert not (tmp_path / "run").exists()
