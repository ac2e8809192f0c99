"""The network that BNAS searches with: every operation on every edge, with one set of weights.

Kim, Singh, Choi, 2020 (https://arxiv.org/abs/2002.06963), section 4, and the released code. It is made of the
cells of zoo/bnas.py, but every node takes all earlier nodes, and every edge has all operations, weighted by
the softmax of scores that all cells of a form share. BatchNorms have no scale and shift here, poolings have
one too, and the layers on the inputs of a cell are in 32 bits.

What the edges that leave a node have in common is computed once: the poolings, and the BatchNorm before the
convolutions of a kind. These are one convolution, in which every edge has filters of its own.
"""

import dataclasses
import itertools
from typing import Any, NamedTuple

import tensorflow as tf

from bnn_keras.nn import layers, memory, mixed, normalization
from bnn_keras.settings.search import Space
from zoo import bnas, genotype, pytorch, shared
from zoo.genotype import CONVOLUTIONS, FORMS, INPUTS, NODES, OPERATIONS, POOLS, ZEROISE

K = tf.keras.layers
NAME = "bnas_search"
PARAMS = 15_456_032  # of the released code, with 8 cells, 16 channels and 10 classes
ALL_NODES = INPUTS + NODES
EDGES = tuple((source, target) for target in range(INPUTS, ALL_NODES) for source in range(target))
AUTHORS_ORDER = ("dil3", "dil5", "conv3", "conv5")  # of the kernels of an edge in the released code


class Kernel(NamedTuple):
    """A binary kernel: its cell, its edge, and its operation."""

    cell: int
    edge: tuple[int, int]
    operation: str


def slipped(cells: int) -> set[Kernel]:
    """The kernels that the released code leaves in 32 bits by mistake.

    It counts all convolutions but the shortcuts' and those on the inputs of cells, and then makes binary so
    many of all convolutions, from the first on.
    """
    order = [Kernel(*parts) for parts in itertools.product(range(1, cells + 1), EDGES, AUTHORS_ORDER)]
    reductions = len(genotype.reductions(cells))
    return set(order[-(INPUTS * cells + reductions) :])


def space(no_zeroise: bool = False) -> Space:
    """What is searched, with or without zeroise."""
    names = tuple(name for name in OPERATIONS if name != ZEROISE or not no_zeroise)
    return Space(FORMS, EDGES, names, ZEROISE)


def build(
    input_shape: tuple[int, int, int],
    classes: int,
    constants: str | tuple = "bnas_cifar10",
    **settings: Any,
) -> tf.keras.Model:
    """Build the network.

    Args:
        input_shape: height, width and 3 channels; RGB in [0, 255].
        classes: outputs of the classifier.
        constants: of the normalisation, as for `zoo.build`.
        settings: of `network`.

    Returns:
        A functional model, [batch, height, width, 3] to logits, [batch, classes]. Its layers
        "normal_scores" and "reduction_scores" have the scores.

    Raises:
        UserError: it does not fit into memory.

    Example:
        >>> from zoo import bnas_search
        >>> network = bnas_search.build((32, 32, 3), 10, cells=3, channels=2)
        >>> network.get_layer("normal_scores").scores.shape
        TensorShape([14, 7])
    """
    image = tf.keras.Input(tuple(input_shape), name="image")
    mean_std = normalization.constants(constants)
    with memory.checked_weights(NAME):
        x = image if mean_std is None else layers.Normalize(*mean_std, name="normalization")(image)
        x = network(x, head=shared.Head(classes), **settings)
    return tf.keras.Model(image, x, name=NAME)


def network(
    x: tf.Tensor,
    *,
    cells: int = 8,
    channels: int = 16,
    no_skip: bool = False,
    no_zeroise: bool = False,
    released_slip: bool = False,
    head: shared.Head,
) -> tf.Tensor:
    """The network after the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        cells: number of cells. Those after a third and two thirds of them are reduction cells.
        channels: of a node of the first cell; each reduction doubles them.
        no_skip: no cell adds the output of the cell before it to its own.
        no_zeroise: leave zeroise out of the operations.
        released_slip: leave the kernels of `slipped` in 32 bits.
        head: what comes after the last cell.
    """
    x = layers.Rotate180(name="upside_down")(x)
    names = space(no_zeroise).operations
    weights = {form: mixed.Scores(len(EDGES), len(names), name=f"{form}_scores")(x) for form in FORMS}
    reductions = genotype.reductions(cells)
    before, last = bnas.stem_layers(x, shared.THUMBNAIL, channels)
    for number in range(cells):
        cell = Cell(
            number=number + 1,
            weights=weights[FORMS[number in reductions]],
            operations=names,
            filters=channels * 2 ** sum(number >= place for place in reductions),
            reduces=number in reductions,
            after_reduction=number - 1 in reductions,
            has_shortcut=number > 0 and not no_skip,
            slipped=slipped(cells) if released_slip else set(),
        )
        before, last = last, cell(before, last)
    return head(last, initializer=pytorch.uniform)


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell with all operations on all edges, and its place in the network.

    Args:
        number: of the cell, from 1.
        weights: of the operations, [edges, operations].
        operations: their names.
        filters: channels of each node.
        reduces: it halves the edge of the feature map.
        after_reduction: the feature map of node 0 has twice the edge of that of node 1.
        has_shortcut: the output of the cell before is added to its own.
        slipped: the kernels that stay in 32 bits.
    """

    number: int
    weights: tf.Tensor
    operations: tuple[str, ...]
    filters: int
    reduces: bool
    after_reduction: bool
    has_shortcut: bool
    slipped: set[Kernel]

    @property
    def name(self) -> str:
        """Begins the names of its layers."""
        return f"cell{self.number}"

    def __call__(self, before: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        """The output of the cell, given those of the two cells before it."""
        nodes = [self._input(before, 0), self._input(last, 1)]
        arriving: dict[int, list[tf.Tensor]] = {target: [] for _, target in EDGES}
        for source in range(ALL_NODES - 1):
            for target, x in zip(_targets(source), self._edges_from(source, nodes[source]), strict=True):
                arriving[target].append(x)
            if source + 1 in arriving:  # complete
                nodes.append(K.Add(name=f"{self.name}/node{source + 1}")(arriving[source + 1]))
        # The last layer has the name of the cell.
        joined = f"{self.name}/nodes" if self.has_shortcut else self.name
        output = K.Concatenate(name=joined)(nodes[INPUTS:])
        return K.Add(name=self.name)([output, self._shortcut(last)]) if self.has_shortcut else output

    def _shortcut(self, x: tf.Tensor) -> tf.Tensor:
        if not self.reduces:
            return x
        x = shared.batch_norm(x, f"{self.name}/shortcut_bn")
        return pytorch.conv(x, NODES * self.filters, 2, f"{self.name}/shortcut_conv", 2, use_bias=True)

    def _input(self, x: tf.Tensor, node: int) -> tf.Tensor:
        size, strides = (3, 2) if self.after_reduction and node == 0 else (1, 1)
        name = f"{self.name}/input{node}"
        return bnas.binary_layer(x, self.filters, size, name, strides, affine=False, binary=False)

    def _edges_from(self, source: int, x: tf.Tensor) -> list[tf.Tensor]:
        """What each of the edges that leave a node gives."""
        columns = [column for column, name in enumerate(self.operations) if name != ZEROISE]
        rows = [EDGES.index((source, target)) for target in _targets(source)]
        outputs = [self._operation(self.operations[column], source, x) for column in columns]
        mixture = mixed.Mixture(rows, columns, self.filters, name=f"{self.name}/node{source}_mixed")
        return mixture([self.weights, *outputs])

    def _operation(self, operation: str, source: int, x: tf.Tensor) -> tf.Tensor:
        """The output of an operation: of all edges from the node, or one that is the same on all of them."""
        name = f"{self.name}/node{source}_{operation}"
        strides = 2 if self.reduces and source < INPUTS else 1
        if operation in POOLS:
            pooled = bnas.POOLS[operation](3, strides=strides, padding="same", name=name)(x)
            return shared.batch_norm(pooled, f"{name}_bn", scale=False, center=False)
        kernel_size, dilation = CONVOLUTIONS[operation]
        targets = _targets(source)
        slips = sum(Kernel(self.number, (source, target), operation) in self.slipped for target in targets)
        # The order of the released code is that of the targets: the last of them have the slip.
        parts = [
            bnas.binary_layer(
                x,
                self.filters * edges,
                kernel_size,
                f"{name}_32_bits" if has_slip else name,
                strides,
                dilation,
                affine=False,
                float_kernel=has_slip,
            )
            for edges, has_slip in ((len(targets) - slips, False), (slips, True))
            if edges
        ]
        return K.Concatenate(name=f"{name}_all")(parts) if len(parts) > 1 else parts[0]


def _targets(source: int) -> range:
    """The nodes that take a node."""
    return range(max(source + 1, INPUTS), ALL_NODES)
