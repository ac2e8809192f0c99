"""Layers in double precision."""

from typing import Any

import tensorflow as tf


def rebuild(layer: tf.keras.layers.Layer, input_shape: Any = None, **changes: Any) -> tf.keras.layers.Layer:
    """A copy of a layer in float64 with the same weights and quantizers.

    Args:
        layer: a built layer.
        input_shape: for a layer that no model has called.
        changes: configuration in place of the layer's own; a quantizer is used as it is.
    """
    config = _in_float64(layer.get_config())
    quantizers = {key: config.pop(key) for key in list(config) if key.endswith("_quantizer")}
    # A function that is not registered with Keras cannot be made from a configuration.
    activation = getattr(layer, "activation", None)
    keeps_activation = "activation" in config and not isinstance(activation, tf.keras.layers.Layer)
    if keeps_activation:
        config["activation"] = "linear"
    own = {key: value for key, value in changes.items() if not key.endswith("_quantizer")}
    floatx = tf.keras.backend.floatx()
    # Variables that are made without a type, and casts of constants, follow this setting.
    tf.keras.backend.set_floatx("float64")
    try:
        twin = type(layer).from_config({**config, **own})
        if keeps_activation and "activation" not in changes:
            twin.activation = activation
        for key in quantizers:
            setattr(twin, key, changes[key] if key in changes else _quantizer(getattr(layer, key)))
        is_normalization = isinstance(layer, tf.keras.layers.Normalization)
        if layer.weights or is_normalization:
            twin.build(input_shape or layer.get_input_shape_at(0))
            twin.set_weights(layer.get_weights()[: len(twin.weights)])
        if is_normalization:
            twin.finalize_state()  # computes the mean and variance from the weights
    finally:
        tf.keras.backend.set_floatx(floatx)
    return twin


def _in_float64(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: "float64" if key == "dtype" else _in_float64(value) for key, value in config.items()}
    return [_in_float64(item) for item in config] if isinstance(config, list) else config


def _quantizer(quantizer: Any) -> Any:
    if isinstance(quantizer, tf.keras.layers.Layer):
        return type(quantizer).from_config(_in_float64(quantizer.get_config()))
    return quantizer
