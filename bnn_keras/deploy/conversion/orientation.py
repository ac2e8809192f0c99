"""The orientation in which a network takes its image.

Networks that come from PyTorch turn their image by 180 degrees first (`bnn_keras.nn.layers.Rotate180`). A
device that gets its image turned already, as many cameras deliver it, does not need that operation.
"""

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn import layers
from bnn_keras.settings.orientation import UPSIDE_DOWN


def upside_down(model: tf.keras.Model) -> tf.keras.Model:
    """A copy that takes the image turned by 180 degrees, without the layer that turns it.

    Raises:
        UserError: the model has no such layer.
    """
    if not any(isinstance(layer, layers.Rotate180) for layer in model.layers):
        raise UserError(
            f"{model.name} does not turn its image, so it takes upright images only: "
            f"--orientation={UPSIDE_DOWN} is for networks such as BNext."
        )
    copy = tf.keras.models.clone_model(model, clone_function=_unturned)
    copy.set_weights(model.get_weights())
    return copy


def _unturned(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
    if isinstance(layer, layers.Rotate180):
        return tf.keras.layers.Activation("linear", name=layer.name)
    return type(layer).from_config(layer.get_config())
