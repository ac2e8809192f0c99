"""Samples: of many classes, and such that rounding does not change their outputs by much."""

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.bundle import samples


def test_images_of_many_classes_come_first():
    """The class of an image is its first channel's value."""
    image = tf.keras.Input((1, 1, 3))
    red = tf.keras.layers.Flatten()(image)[:, :1]
    model = tf.keras.Model(image, -((red - tf.range(10.0)) ** 2))
    images = np.zeros((9, 1, 1, 3), np.float32)
    images[:, 0, 0, 0] = [4.4, 4, 4, 2, 2, 9, 4, 1, 9]
    pixels, classes = samples.choose(model, images, 6)
    assert classes.tolist() == [1, 2, 4, 9, 4, 4] and pixels.dtype == np.uint8
    assert pixels[:, 0, 0, 0].tolist() == classes.tolist()


def test_only_images_whose_outputs_do_not_depend_on_rounding_are_chosen():
    outputs = np.eye(4)[[0, 0, 1, 2, 3]]
    others = [outputs + 1e-6, outputs.copy()]
    others[1][1, 2] += 0.002
    others[0][3, 0] -= 0.04
    chosen, tolerance = samples.choose_calm(outputs, others, 3)
    assert chosen.tolist() == [0, 2, 4] and tolerance == samples.TOLERANCE
    # If they are too few, those that differ least are taken too, and more is tolerated.
    chosen, tolerance = samples.choose_calm(outputs, others, 4)
    assert chosen.tolist() == [0, 2, 4, 1] and tolerance == samples.TOLERANCE
    chosen, tolerance = samples.choose_calm(outputs, others, 8)
    assert chosen.tolist() == [0, 2, 4, 1, 3] and np.isclose(tolerance, 0.08, atol=1e-5)
    assert samples.choose_calm(outputs, [], 8)[0].tolist() == [0, 2, 3, 4, 1]
