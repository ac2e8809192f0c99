"""Random small networks of the zoo's blocks, and what a list of operations computes in float64."""

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.rewrite.computing import compute
from bnn_keras.nn import layers, normalization
from bnn_keras.nn.float64 import rebuild
from bnn_keras.nn.graph import run_graph
from bnn_keras.nn.inference import infer
from bnn_keras.nn.registration import is_function
from tests.networks import binary_conv, randomise
from zoo import bnext, meliusnet, pytorch, shared

keras = tf.keras.layers
SIZE = 16  # pixels of an edge of the image


def network(seed):
    """A network of random blocks, with weights of the kinds that rewrites have to know."""
    rng = np.random.default_rng(seed)
    image = tf.keras.Input((SIZE, SIZE, 3))
    x = layers.Normalize(*normalization.MEAN_STD["imagenet2012"], name="normalize")(image)
    x = layers.Rotate180(name="turn")(x) if rng.random() < 0.5 else x
    x = FIRST[rng.integers(len(FIRST))](x, rng)
    for number in range(rng.integers(2, 5)):
        x = BLOCKS[rng.integers(len(BLOCKS))](x, rng, f"block{number}")
    x = keras.GlobalAveragePooling2D(name="pool")(x)
    model = tf.keras.Model(image, keras.Dense(3, name="head")(x), name=f"random{seed}")
    return _change_norms(randomise(model, seed), rng)


def _change_norms(model, rng):
    """Some scales are negative, 0 or tiny, some shifts 0, some slopes negative."""
    for layer in model.layers:
        if isinstance(layer, keras.BatchNormalization) and rng.random() < 0.7:
            gamma = layer.gamma.numpy()
            kinds = rng.choice([1, -1, 1e-3, 1e-20, 0], gamma.shape, p=KINDS[rng.integers(len(KINDS))])
            layer.gamma.assign(gamma * kinds)
            layer.beta.assign(layer.beta * (rng.random(gamma.shape) < 0.8))
    return model


KINDS = ((0.5, 0.5, 0, 0, 0), (0.4, 0.4, 0.2, 0, 0), (0.6, 0.2, 0.1, 0.1, 0), (0.7, 0.2, 0, 0, 0.1))


def _stem(x, rng):
    return shared.stem(x, "grouped", int(rng.integers(2, 4)))


def _conv_stem(x, rng):
    return bnext.stem_layers(x, "conv3x3", int(rng.choice([8, 17, 32])))


def _thumbnail(x, rng):
    return shared.conv(x, int(rng.choice([8, 32, 64])), 3, "stem")


def _melius(x, rng, name):
    for number in range(rng.integers(1, 3)):
        x = meliusnet.melius_block(x, int(rng.choice([7, 32, 32])), f"{name}_{number}")
    return x


def _naive(x, rng, name):
    return meliusnet.naive_block(x, 16, name)


def _transition(x, rng, name):
    groups = int(rng.choice([1, 4])) if x.shape[-1] % shared.SHUFFLE_GROUPS == 0 else 1
    return shared.transition(x, int(rng.choice([16, 32])), name, groups, bool(rng.random() < 0.2))


def _plain(x, rng, name):
    strides = int(rng.integers(1, 3)) if min(x.shape[1:3]) > 3 else 1
    module = bnext.Module(hard_below=2.0)
    return module.plain(module.plain(x, 3, f"{name}_1", strides), 1, f"{name}_2")


def _elm(x, rng, name):
    strides = int(rng.integers(1, 3)) if min(x.shape[1:3]) > 3 else 1
    return bnext.Module(hard_below=2.0).elm(x, 3, name, strides)


def _halves(x, rng, name):
    x = shared.conv(x, 32, 1, f"{name}/narrow")
    module, seen = bnext.Module(hard_below=2.0), pytorch.mean(x, f"{name}/input_mean")
    halves = [module.plain(x, 1, f"{name}_{half}", input_mean=seen) for half in (1, 2)]
    x = keras.Concatenate(name=name)(halves)
    return module.plain(x, 3, f"{name}_pooled", 2) if rng.random() < 0.7 else x


def _several(x, rng, name):
    """A BatchNorm with several consumers, one of them no convolution, and a layer that is called twice."""
    y = keras.BatchNormalization(name=f"{name}/bn")(x)
    conv = binary_conv(filters=x.shape[-1], name=f"{name}/conv")
    z = conv(conv(y))
    if rng.random() < 0.5:
        z = keras.Add(name=f"{name}/add")([z, y])
    norm = keras.BatchNormalization(name=f"{name}/shared")
    return keras.Concatenate(name=name)([norm(z), conv(norm(y))])


def _residual(x, rng, name):
    """A block that adds to what it takes, which comes from a convolution."""
    x = shared.conv(x, 32, 1, f"{name}/widen")
    for number in range(2):
        y = binary_conv(name=f"{name}/conv{number}")(keras.BatchNormalization(name=f"{name}/bn{number}")(x))
        x = keras.Add(name=f"{name}_{number}")([y, x])
    return x


FIRST = (_stem, _conv_stem, _thumbnail)
BLOCKS = (_residual, _melius, _melius, _naive, _transition, _plain, _elm, _halves, _several)


def caller():
    """Calls layers in float64, each rebuilt once."""
    twins = {}

    def call(one, fill):
        if id(one.layer) not in twins:
            twins[id(one.layer)] = one.layer if is_function(one.layer) else rebuild(one.layer)
        return infer(twins[id(one.layer)], fill(one.args), fill(one.kwargs))

    return call


def model64(graph, images):
    """The values of a model in float64."""
    return run_graph(graph, {graph.inputs[0]: tf.constant(images, tf.float64)}, caller())


def network64(network, images):
    """The outputs of all operations in float64."""
    return compute(network, tf.constant(images, tf.float64), caller())
