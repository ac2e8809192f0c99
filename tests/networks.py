"""Small networks for tests, with statistics as after training."""

import larq as lq
import numpy as np
import tensorflow as tf

import zoo

keras = tf.keras.layers


def randomise(model, seed=0):
    """Random weights, BatchNorm statistics included: a fresh model hides mistakes."""
    rng = np.random.default_rng(seed)
    for layer in model.submodules:
        if not isinstance(layer, keras.Layer) or isinstance(layer, tf.keras.Model):
            continue
        shapes = [w.shape for w in layer.weights]
        if isinstance(layer, keras.BatchNormalization):
            names = [w.name.split("/")[-1] for w in layer.weights]
            positive = [name.startswith(("gamma", "moving_variance")) for name in names]
            pairs = zip(shapes, positive, strict=True)
            layer.set_weights([rng.uniform(0.5, 1.5, s) if p else rng.normal(0, 0.3, s) for s, p in pairs])
        elif shapes:
            layer.set_weights([rng.normal(0, 1 / np.sqrt(max(1, np.prod(s[:-1]))), s) for s in shapes])
    return model


TWO_SECTIONS = {"blocks": (1, 1), "channels": (32,)}  # of a MeliusNet: two blocks and a transition


def tiny_melius(size=64, classes=10, **settings):
    """A MeliusNet-A with a block a section: grouped transitions, shuffles, the grouped stem."""
    settings = {"blocks": (1, 1, 1, 1), "channels": (32, 32, 32), **settings}
    return randomise(zoo.build("meliusneta", (size, size, 3), classes, **settings))


def binary_conv(**settings):
    """Larq's layer with signs all around."""
    defaults = {
        "filters": 32,
        "kernel_size": 3,
        "padding": "same",
        "use_bias": False,
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "ste_sign",
    }
    return lq.layers.QuantConv2D(**{**defaults, **settings})


def network_around(body, size=16):
    """A user's network without our names: a float convolution, `body`, BatchNorm, a classifier."""
    image = tf.keras.Input((size, size, 3))
    x = body(keras.Conv2D(32, 3, padding="same")(image))
    x = keras.GlobalAveragePooling2D()(keras.BatchNormalization()(x))
    return randomise(tf.keras.Model(image, keras.Dense(4)(x), name="users_own"))


def images(number=4, size=16, seed=3):
    """Noise, float32 in [0, 255]."""
    return np.random.default_rng(seed).uniform(0, 255, (number, size, size, 3)).astype(np.float32)


def of_one_sign(model, sign=1, channels=slice(None)):
    """Binary kernels whose latent weights all have one sign, as ReActNet's authors draw them.

    Args:
        channels: the output channels, all unless told otherwise.
    """
    for layer in model.submodules:
        if getattr(layer, "kernel_quantizer", None) is not None:
            kernel, *others = layer.get_weights()
            kernel[..., channels] = sign * np.abs(kernel[..., channels])
            layer.set_weights([kernel, *others])
    return model


def partly_zero(model, seed=0):
    """Half of all shifts, scales and biases are 0, some scales are 1 and some slopes are equal."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        weights = dict(
            zip(
                (w.name.split("/")[-1].split(":")[0] for w in layer.weights), layer.get_weights(), strict=True
            )
        )
        for name, values in weights.items():
            if name in ("beta", "moving_mean", "bias", "share", "alpha") and rng.random() < 0.5:
                weights[name] = np.zeros_like(values)
            elif name in ("gamma", "moving_variance", "alpha") and rng.random() < 0.5:
                weights[name] = np.full_like(values, 0.25 if name == "alpha" else 1)
        layer.set_weights(list(weights.values()))
    return model
