"""The outputs of a model for a few images."""

import numpy as np
import tensorflow as tf

BATCH = 32


def scores(model: tf.keras.Model, images: np.ndarray) -> np.ndarray:
    """Call a model in inference, batch by batch.

    `model.predict` would trace the model first, which takes longer than all calls for a few images.

    Args:
        model: with one input and one output.
        images: [n, height, width, channels].
    """
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    return np.concatenate([model(batch, training=False).numpy() for batch in batches])
