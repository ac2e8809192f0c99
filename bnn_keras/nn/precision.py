"""Copies of a network that compute in another precision."""

import tensorflow as tf


def in_policy(network: tf.keras.Model, policy: str) -> tf.keras.Model:
    """A copy of a network whose layers compute in another precision.

    Its variables stay in float32, and so do the outputs, and binary layers, whose sums of signs would not be
    exact in less.

    Args:
        network: functional.
        policy: "float32", "mixed_bfloat16" or "mixed_float16", as Keras names them.
    """

    def changed(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        if isinstance(layer, tf.keras.Model):
            return in_policy(layer, policy)
        exact = layer.name in network.output_names or getattr(layer, "kernel_quantizer", None) is not None
        return type(layer).from_config({**layer.get_config(), "dtype": "float32" if exact else policy})

    twin = tf.keras.models.clone_model(network, clone_function=changed)
    twin.set_weights(network.get_weights())
    return twin


def computes_in(network: tf.keras.Model, policy: str) -> bool:
    """Whether all layers compute in a precision, such as "float32"."""
    layers = (layer for layer in network.submodules if isinstance(layer, tf.keras.layers.Layer))
    return all(layer.compute_dtype == policy for layer in layers)
