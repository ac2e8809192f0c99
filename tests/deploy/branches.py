"""Many small networks in one, for a single conversion."""

import tensorflow as tf

from tests.networks import randomise

keras = tf.keras.layers


def network_of(bodies, size=16):
    """A branch for each body, a nested model of its name: a 32-bit convolution before it, BatchNorm after it.

    Args:
        bodies: functions or layers by name, from [batch, size, size, 32] to four dimensions.
    """
    image = tf.keras.Input((size, size, 3))
    ends = []
    for name, body in bodies.items():
        x = keras.Input((size, size, 32))
        y = keras.GlobalAveragePooling2D()(keras.BatchNormalization()(body(x)))
        branch = tf.keras.Model(x, y, name=slug(name))
        ends.append(branch(keras.Conv2D(32, 3, padding="same")(image)))
    x = keras.Concatenate()(ends) if len(ends) > 1 else ends[0]
    return randomise(tf.keras.Model(image, keras.Dense(4)(x), name="users_own"))


def slug(name):
    """The name of a branch, which no layer has by itself."""
    return "branch_" + "".join(letter if letter.isalnum() else "_" for letter in name)
