"""Random small networks of the zoo's blocks, and what a list of operations computes in float64.

Most of the time goes into building layers. So blocks are built as a tree, each on the output of a random
other one, and a network is what lies on the way from one place in the tree to another.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from bnn_keras.deploy.rewrite.computing import compute
from bnn_keras.nn import layers, normalization
from bnn_keras.nn.graph import Graph, Value, read_graph, run_graph
from bnn_keras.nn.inference import infer
from tests.networks import binary_conv, images, randomise
from zoo import bnext, meliusnet, pytorch, shared

keras = tf.keras.layers
SIZE = 16  # pixels of an edge of the image
BLOCKS_OF_TREE = 16
HEADS = 2
DEEPEST = 5  # blocks after each other


@dataclasses.dataclass(frozen=True)
class Tree:
    """Blocks that were built on each other.

    Args:
        graph: of all of them.
        values: all tensors of the graph, for one image, in float64.
        ends: the places where networks may start and end, each with the places on the way to it.
    """

    graph: Graph
    values: dict[Value, tf.Tensor]
    ends: dict[Value, list[Value]]

    def network(self, rng):
        """A random network: the graph from one place to a later one."""
        ends = [end for end, before in self.ends.items() if before]
        end = ends[rng.integers(len(ends))]
        before = self.ends[end]
        start = before[0] if rng.random() < 0.5 else before[rng.integers(len(before))]
        return Graph(tuple(_calls_between(self.graph, start, end)), (start,), (end,))


def _calls_between(graph, start, end):
    needed, found = {end}, []
    for call in reversed(graph.calls):
        if needed.intersection(call.outputs) and start not in call.outputs:
            found.append(call)
            needed.update(call.inputs)
    return reversed(found)


def trees(seed, number=1):
    """Trees of the same random blocks, with weights of the kinds that rewrites have to know.

    The layers are the same: a tree is valid until the next one is drawn.
    """
    rng = np.random.default_rng(seed)
    tf.keras.backend.set_floatx("float64")
    try:
        model, parents = _build(rng)
    finally:
        tf.keras.backend.set_floatx("float32")
    graph = read_graph(model)
    places = [*graph.inputs, *graph.outputs]
    ends = {}
    for place, parent in zip(places, parents, strict=True):
        ends[place] = [] if parent is None else [*ends[places[parent]], places[parent]]
    image = tf.constant(images(1, SIZE, seed), tf.float64)
    for of_weights in range(seed, seed + number):
        _change_norms(randomise(model, of_weights), rng)
        yield Tree(graph, run_graph(graph, {graph.inputs[0]: image}, call_layer), ends)


def _build(rng):
    """A model with the output of every block, and for each place the number of the one before it."""
    image = tf.keras.Input((SIZE, SIZE, 3))
    x = layers.Normalize(*normalization.MEAN_STD["imagenet2012"], name="normalize")(image)
    turned = layers.Rotate180(name="turn")(x)
    starts = [FIRST[0](x, rng, "first0"), FIRST[1](turned, rng, "first1"), FIRST[2](x, rng, "first2")]
    places, parents, depths = [image, *starts], [None, 0, 0, 0], [0, 1, 1, 1]
    # Each at least once, in random order.
    chosen = [*rng.permutation(len(BLOCKS)), *rng.integers(len(BLOCKS), size=BLOCKS_OF_TREE)]
    for number in range(BLOCKS_OF_TREE):
        parent = int(rng.choice([i for i, depth in enumerate(depths) if 0 < depth < DEEPEST]))
        block = _head if number >= BLOCKS_OF_TREE - HEADS else BLOCKS[chosen[number]]
        places.append(block(places[parent], rng, f"block{number}"))
        parents.append(parent)
        depths.append(DEEPEST if block is _head else depths[parent] + 1)
    return tf.keras.Model(image, places[1:]), parents


def _head(x, rng, name):
    return keras.Dense(3, name=f"{name}/dense")(keras.GlobalAveragePooling2D(name=f"{name}/pool")(x))


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


def _stem(x, rng, name):
    return shared.stem(x, "grouped", int(rng.integers(2, 4)), name)


def _conv_stem(x, rng, name):
    x = pytorch.conv(x, int(rng.choice([8, 17, 32])), 3, f"{name}/conv", 2)
    return shared.batch_norm(x, name)


def _thumbnail(x, rng, name):
    return shared.conv(x, int(rng.choice([8, 32, 64])), 3, name)


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


def call_layer(one, fill):
    """Call a layer."""
    return infer(one.layer, fill(one.args), fill(one.kwargs))


def network64(network, image):
    """The outputs of all operations in float64."""
    return compute(network, image, call_layer)
