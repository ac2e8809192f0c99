"""Dropping paths in training: with which probability, and for which images."""

import zlib

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn.drop_path import ends_of_paths
from bnn_keras.settings.recipe import Recipe
from bnn_keras.training.schedules import Linear, PerEpoch


def check(network: tf.keras.Model, recipe: Recipe) -> None:
    """Raise UserError if a recipe drops paths, and the network has none."""
    if recipe.drop_path and not ends_of_paths(network):
        raise UserError(
            f"drop_path must be 0 for {network.name}, which has no paths to drop. Received: "
            f"{recipe.drop_path:g}."
        )


class DroppedPaths:
    """Which paths a training drops, as `bnn_keras.nn.drop_path.Factors`.

    In epoch e of E, counted from 0, each image loses a path with the probability peak · e / E; otherwise the
    path's feature map is divided by the probability to keep it. What is drawn depends on the seed, the step,
    the replica and the name of the path alone, so that a run that is resumed draws the same. The parts of a
    batch draw alike (`accumulate`).

    Args:
        recipe: its keys `drop_path`, the peak, and `epochs`.
        steps: in an epoch.
        seed: of the run.
        iterations: the number of steps so far.
    """

    def __init__(self, recipe: Recipe, steps: int, seed: int, iterations: tf.Variable) -> None:
        self._schedule = PerEpoch(Linear(0.0, recipe.epochs, recipe.drop_path), steps)
        self._seed, self._iterations = seed, iterations

    @property
    def probability(self) -> tf.Tensor:
        """That a path is dropped in this step, float64."""
        return self._schedule(self._iterations)

    def __call__(self, name: str, inputs: tf.Tensor) -> tf.Tensor:
        """What the feature maps [batch, ...] of a path are multiplied by, [batch, 1, 1, 1]."""
        keep = tf.cast(1 - self.probability, tf.float32)
        drawn = tf.random.stateless_uniform([tf.shape(inputs)[0], 1, 1, 1], self._seed_of(name))
        return tf.cast(tf.cast(drawn < keep, tf.float32) / keep, inputs.dtype)

    def _seed_of(self, name: str) -> tf.Tensor:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.stack([tf.constant(self._seed, tf.int64), tf.cast(self._iterations, tf.int64)])
        for part in zlib.crc32(name.encode()), replica:
            seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(part, tf.int64))
        return seed


def start(network: tf.keras.Model, recipe: Recipe, steps: int, seed: int, iterations: tf.Variable) -> None:
    """Have a network drop paths in the training that follows, as its recipe says.

    Args:
        network: that is trained.
        recipe, steps, seed, iterations: see `DroppedPaths`.
    """
    dropped = DroppedPaths(recipe, steps, seed, iterations) if recipe.drop_path else None
    for layer in ends_of_paths(network):
        layer.factors = dropped
