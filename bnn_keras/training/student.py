"""The model that learns: the network itself, or a copy of it that differs in precision or is frozen in part.

Only the network is saved, so that its file holds no trace of how it was trained.
"""

import tensorflow as tf

from bnn_keras.nn import precision
from bnn_keras.settings.recipe import Recipe


def student_of(network: tf.keras.Model, recipe: Recipe) -> tf.keras.Model:
    """The model to train so that `network` gets the recipe's training.

    Args:
        network: functional, with the initial weights.
        recipe: its keys `precision` and `freeze` decide.

    Returns:
        The network itself if it is trained as it is, otherwise a copy with the same names and weights.
    """
    if recipe.precision == "float32" and not recipe.freeze:
        return network
    with network.distribute_strategy.scope():
        student = precision.in_policy(network, recipe.precision)
    if recipe.freeze:
        freeze(student)
    return student


def freeze(network: tf.keras.Model) -> None:
    """Freeze every layer but the last one that has weights, the classifier.

    A frozen BatchNorm computes as in inference, with the statistics that it has.
    """
    classifier = [layer for layer in network.layers if layer.weights][-1]
    for layer in network.layers:
        layer.trainable = layer is classifier


def take_weights(network: tf.keras.Model, student: tf.keras.Model) -> None:
    """Give a network the weights of its student."""
    if student is not network:
        network.set_weights(student.get_weights())
