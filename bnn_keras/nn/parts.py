"""The 32-bit parts of a binary network, by where their layers lie in the graph.

BNext names them in its section 7.5: the first layer, the squeeze-and-expand branches and the output layer.
The place in the graph says which layers these are, so this holds for any network, also for one without our
names:

- stem: the convolutions that no binary layer comes before;
- branch: those that take a mean over the image and whose output meets a feature map again;
- head: those that take a mean over the image, and after which nothing but the output comes;
- transition: all others, such as those between the sections of MeliusNet and in the shortcuts of ResNetE.
"""

import dataclasses

import tensorflow as tf

from bnn_keras.nn.binary import is_one_bit, kernel_quantizer
from bnn_keras.nn.graph import Call, Graph, Value
from bnn_keras.nn.registration import traits_of

K = tf.keras.layers
STEM, BRANCH, TRANSITION, HEAD = "stem", "branch", "transition", "head"
PARTS = (STEM, BRANCH, TRANSITION, HEAD)
_MEANS = (K.GlobalAveragePooling2D, K.GlobalMaxPooling2D)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a 32-bit layer lies.

    Args:
        part: one of `PARTS`.
        number: the layers of its part before it, counted from 0: in the stem those on the way from the image,
            in a branch those on the way from the mean (0 squeezes, 1 expands), otherwise those of the
            network.
    """

    part: str
    number: int

    @property
    def takes_image(self) -> bool:
        """Whether no other convolution comes before it."""
        return self.part == STEM and self.number == 0


def find_parts(graph: Graph) -> dict[Call, Place]:
    """The 32-bit convolutions and dense layers of a binary network, each with its place.

    Args:
        graph: of a model; if it has no binary layer, it has no parts.
    """
    if not any(map(_is_binary, graph.calls)):
        return {}
    after_binary: set[Value] = set()
    vectors = {value for value in graph.inputs if len(value.shape) == 2}
    depth: dict[Value, int] = {}  # 32-bit layers on the way from the image, or from the mean
    for call in graph.calls:
        if _is_binary(call) or not after_binary.isdisjoint(call.inputs):
            after_binary.update(call.outputs)
        is_mean = isinstance(call.layer, _MEANS)
        if is_mean or _stays_vector(call, vectors):
            vectors.update(call.outputs)
        before = 0 if is_mean else max((depth.get(value, 0) for value in call.inputs), default=0)
        depth.update(dict.fromkeys(call.outputs, before + _has_kernel(call)))
    joining = _joining(graph, vectors)
    places: dict[Call, Place] = {}
    for call in filter(_has_kernel, graph.calls):
        value = call.inputs[0]
        if value not in after_binary:
            places[call] = Place(STEM, depth.get(value, 0))
        elif value in vectors and call.outputs[0] in joining:
            places[call] = Place(BRANCH, depth.get(value, 0))
        else:
            part = HEAD if value in vectors else TRANSITION
            places[call] = Place(part, sum(place.part == part for place in places.values()))
    return places


def _is_binary(call: Call) -> bool:
    return is_one_bit(kernel_quantizer(call.layer))


def _has_kernel(call: Call) -> bool:
    return isinstance(call.layer, (K.Conv2D, K.Dense)) and kernel_quantizer(call.layer) is None


def _stays_vector(call: Call, vectors: set[Value]) -> bool:
    """Whether a layer gives one value for each channel, as a mean over the image does."""
    if all(len(value.shape) == 2 for value in call.outputs):
        return True
    traits = traits_of(call.layer)
    keeps = traits.elementwise or traits.moves or _has_kernel(call)
    return bool(call.inputs) and keeps and vectors.issuperset(call.inputs)


def _joining(graph: Graph, vectors: set[Value]) -> set[Value]:
    """The vectors that lead to something that is no vector."""
    found: set[Value] = set()
    for call in reversed(graph.calls):
        joins = any(value not in vectors or value in found for value in call.outputs)
        if joins:
            found.update(value for value in call.inputs if value in vectors)
    return found
