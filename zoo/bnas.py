"""BNAS: Learning Architectures for Binary Networks.

Kim, Singh, Choi, 2020 (https://arxiv.org/abs/2002.06963). As published:

| name      | cells, channels | data     | top-1 % |
|-----------|-----------------|----------|---------|
| bnas_mini | 10, 24          | CIFAR-10 |         |
| bnas_a    | 20, 36          | CIFAR-10 | 92.70   |
| bnas_b    | 12, 64          | CIFAR-10 |         |
| bnas_c    | 16, 108         | CIFAR-10 |         |
| bnas_d    | 12, 64          | ImageNet | 57.69   |
| bnas_e    | 12, 68          | ImageNet | 58.76   |
| bnas_f    | 15, 68          | ImageNet | 58.99   |
| bnas_g    | 11, 74          | ImageNet | 59.81   |
| bnas_h    | 16, 128         | ImageNet | 63.51   |

bnas has the cells of a genotype (`zoo.genotype.read`), as many and as wide as A or D.

A network is a stem and cells of two forms, normal and reduction, which a search has found
(zoo/genotype.py). The inputs of a cell, its nodes 0 and 1, are the outputs of the two cells before it, each
after a binary layer. Its output is the concatenation of its other nodes, plus the output of the cell before
it. Zeroise, the operation whose output is 0, is left out, and so is a layer that only zeroise would use.

The networks first turn their image by 180 degrees, as BNext does, so that the authors' checkpoints compute
here what they compute in PyTorch.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnn_keras.nn import layers, scaled_sign
from bnn_keras.nn.channels import TakeChannels, concatenate
from bnn_keras.nn.drop_path import DropPath
from bnn_keras.settings.kinds import Choice, Number, Optional, Setting, Switch
from zoo import genotype, pytorch, shared
from zoo.checkpoints import bnas as checkpoints
from zoo.genotype import CONVOLUTIONS, EDGES_OF_A_NODE, INPUTS, NODES, Edge
from zoo.paper import Paper

K = tf.keras.layers
POOLS = {"max": K.MaxPooling2D, "avg": K.AveragePooling2D}

_CIFAR10: dict[str, Any] = dict(**genotype.CIFAR10, stem=shared.THUMBNAIL)
_IMAGENET: dict[str, Any] = dict(**genotype.IMAGENET, stem="conv3x3")
VARIANTS: dict[str, dict] = {
    "bnas_mini": dict(cells=10, channels=24, **_CIFAR10),
    "bnas_a": dict(cells=20, channels=36, **_CIFAR10),
    "bnas_b": dict(cells=12, channels=64, **_CIFAR10),
    "bnas_c": dict(cells=16, channels=108, **_CIFAR10),
    "bnas_d": dict(cells=12, channels=64, **_IMAGENET),
    "bnas_e": dict(cells=12, channels=68, **_IMAGENET),
    "bnas_f": dict(cells=15, channels=68, **_IMAGENET),
    "bnas_g": dict(cells=11, channels=74, **_IMAGENET),
    "bnas_h": dict(cells=16, channels=128, **_IMAGENET),
}

OWN = "bnas"  # the name of a network with cells of one's own
# The network whose cells and channels, in number, one has by its stem if none are given.
USUAL = {shared.THUMBNAIL: "bnas_a", "conv3x3": "bnas_d"}
# Of the released code, which has 5,578,252 for A: see `zoo.checkpoints.bnas.unused_params`.
PARAMS = {"bnas_d": 28_407_560, "bnas_f": 39_781_442}
RECIPES = dict.fromkeys(VARIANTS, "bnas")


def binary_layer(
    x: tf.Tensor,
    filters: int,
    kernel_size: int,
    name: str,
    strides: int = 1,
    dilation: int = 1,
    affine: bool = True,
    zeros: Sequence[int] = (),
    binary: bool = True,
    float_kernel: bool = False,
) -> tf.Tensor:
    """BatchNorm, sign, binary convolution, ReLU.

    Args:
        x: the input, [batch, height, width, channels].
        filters, kernel_size, strides, dilation: of the convolution.
        name: of its layers.
        affine: the BatchNorm has a scale and a shift.
        zeros: channels that are always 0 after the BatchNorm; their sign is 0 in the authors' code.
        binary: False leaves out the sign, for the 32-bit twin.
        float_kernel: the convolution of signs has a 32-bit kernel.
    """
    x = shared.batch_norm(x, f"{name}_bn", scale=affine, center=affine)
    if strides > 1 and dilation == strides:
        # Every weight of the kernel meets the same pixels of every window: only these are needed.
        x, strides, dilation = every_second(x, f"{name}_pixels"), 1, 1
    own: dict[str, Any] = dict(strides=strides, dilation=dilation, name=f"{name}_conv")
    if not binary:
        x = pytorch.conv(x, filters, kernel_size, **own)
    elif float_kernel:
        x = scaled_sign.float_kernel_conv(filters, kernel_size, **own)(x)
    else:
        if zeros:
            used = [channel for channel in range(x.shape[-1]) if channel not in zeros]
            own |= dict(kernel_channels=x.shape[-1], used=used)
            x = TakeChannels(used, name=f"{name}_channels")(x)
        x = scaled_sign.scaled_conv(filters, kernel_size, **own)(x)
    return shared.relu(x, name)


def every_second(x: tf.Tensor, name: str) -> tf.Tensor:
    """Every second row and column from the last one back, which is PyTorch's first: the image is turned."""
    crop = [((edge - 1) % 2, 0) for edge in x.shape[1:3]]
    return K.MaxPooling2D(1, strides=2, padding="same", name=name)(K.Cropping2D(crop, name=f"{name}_crop")(x))


def operation(x: tf.Tensor, edge: Edge, strides: int, name: str, **options: Any) -> tf.Tensor:
    """An operation of a cell, which keeps the number of channels, and the end of its path."""
    if edge.operation in POOLS:
        x = POOLS[edge.operation](3, strides=strides, padding="same", name=name)(x)
    else:
        kernel_size, dilation = CONVOLUTIONS[edge.operation]
        x = binary_layer(x, x.shape[-1], kernel_size, name, strides, dilation, **options)
    return DropPath(name=f"{name}_path")(x)


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell and its place in the network.

    Args:
        name: of the cell.
        edges: its operations, from `zoo.genotype.edges_by_node`.
        filters: channels of each node.
        reduces: it halves the edge of the feature map.
        after_reduction: the feature map of node 0 has twice the edge of that of node 1.
        affine: the BatchNorm of node 0 has a scale and a shift after a reduction too.
        zeros: channels of node 0's input that are always 0.
        has_shortcut: the output of the cell before is added to its own.
        binary, released_slip: see `network`; only the last cell has the slip.
    """

    name: str
    edges: list[list[Edge]]
    filters: int
    reduces: bool
    after_reduction: bool
    affine: bool
    zeros: Sequence[int]
    has_shortcut: bool
    binary: bool
    released_slip: bool

    def __call__(self, before: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        """The output of the cell, given those of the two cells before it."""
        used = {edge.node for pair in self.edges for edge in pair}
        nodes = [self._input(x, node) if node in used else None for node, x in enumerate((before, last))]
        for pair in self.edges:
            found = [
                operation(
                    nodes[edge.node],
                    edge,
                    2 if self.reduces and edge.node < INPUTS else 1,
                    f"{self.name}/{edge.name}",
                    **self._options(edge.name),
                )
                for edge in pair
            ]
            nodes.append(_sum(found, f"{self.name}/node{len(nodes)}"))
        # The last layer has the name of the cell.
        joined = f"{self.name}/nodes" if self.has_shortcut else self.name
        output = concatenate(nodes[INPUTS:], joined, f"{self.name}/zeros")
        return K.Add(name=self.name)([output, self._shortcut(last)]) if self.has_shortcut else output

    def _input(self, x: tf.Tensor, node: int) -> tf.Tensor:
        name, strided = f"input{node}", self.after_reduction and node == 0
        size, strides = (3, 2) if strided else (1, 1)
        options: dict[str, Any] = self._options(name)
        if strided and not self.affine:
            options |= {"affine": False, "zeros": self.zeros}
        return binary_layer(x, self.filters, size, f"{self.name}/{name}", strides, **options)

    def _shortcut(self, last: tf.Tensor) -> tf.Tensor:
        if not self.reduces:
            return last
        last = shared.batch_norm(last, f"{self.name}/shortcut_bn")
        filters = NODES * self.filters
        return pytorch.conv(last, filters, 2, f"{self.name}/shortcut_conv", 2, use_bias=True)

    def _options(self, name: str) -> dict[str, bool]:
        return {"binary": self.binary, "float_kernel": self.released_slip and name in self._last_kernels}

    @property
    def _last_kernels(self) -> list[str]:
        of_edges = [e.name for pair in self.edges for e in pair if e.operation in CONVOLUTIONS]
        return ["input0", "input1", *of_edges][-checkpoints.SLIPS :]


def _sum(found: list[tf.Tensor], name: str) -> tf.Tensor | None:
    if len(found) < EDGES_OF_A_NODE:
        return found[0] if found else None
    return K.Add(name=name)(found)


def stem_layers(x: tf.Tensor, kind: str, channels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The two inputs of the first cell, in 32 bits.

    Args:
        x: images.
        kind: "conv3x3" (a quarter and an eighth of the edge), or "thumbnail" (all of it, both the same).
        channels: of a node of the first cell.
    """
    if kind == shared.THUMBNAIL:
        x = pytorch.conv(shared.batch_norm(x, "stem/bn"), 3 * channels, 3, "stem/conv")
        x = shared.relu(x, "stem")
        return x, x
    x = pytorch.conv(x, channels // 2, 3, "stem/conv1", 2)
    x = shared.relu(shared.batch_norm(x, "stem/bn1"), "stem/relu1")
    quarter = shared.batch_norm(pytorch.conv(x, channels, 3, "stem/conv2", 2), "stem/bn2")
    x = shared.relu(quarter, "stem/relu2")
    return quarter, shared.batch_norm(pytorch.conv(x, channels, 3, "stem/conv3", 2), "stem")


def network(
    x: tf.Tensor,
    *,
    cells: int | None = None,
    channels: int | None = None,
    normal: tuple[str, ...],
    reduction: tuple[str, ...],
    stem: str = "conv3x3",
    binary: bool = True,
    released_slip: bool = False,
    head: shared.Head,
) -> tf.Tensor:
    """The network after the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        cells: number of cells; None for that of `USUAL`. Those after a third and two thirds of them are
            reduction cells.
        channels: of a node of the first cell; None for those of `USUAL`. Each reduction doubles them.
        normal, reduction: the two forms of cells, see `zoo.genotype`.
        stem: see `stem_layers`.
        binary: False gives the 32-bit twin.
        released_slip: leave the last two kernels in 32 bits, as a slip in the authors' code does.
        head: what comes after the last cell.
    """
    small, usual = stem == shared.THUMBNAIL, VARIANTS[USUAL[stem]]
    cells, channels = cells or usual["cells"], channels or usual["channels"]
    before, last = stem_layers(layers.Rotate180(name="upside_down")(x), stem, channels)
    reductions = genotype.reductions(cells)
    for number in range(cells):
        reduces = number in reductions
        cell = Cell(
            name=f"cell{number + 1}",
            edges=genotype.edges_by_node(reduction if reduces else normal),
            filters=channels * 2 ** sum(number >= place for place in reductions),
            reduces=reduces,
            after_reduction=number - 1 in reductions or (number == 0 and not small),
            affine=not small,
            # Later, the shortcut of the reduction cell fills all channels.
            zeros=genotype.zero_channels(normal, channels) if number - 1 == reductions[0] else (),
            has_shortcut=number > 0,
            binary=binary,
            released_slip=released_slip and number == cells - 1,
        )
        before, last = last, cell(before, last)
    return head(last, initializer=pytorch.uniform)


PAPER = Paper(
    network=network,
    settings={
        "cells": Setting("number of cells", Optional(Number(3, 100, whole=True))),
        "channels": Setting("of a node of the first cell", Optional(Number(2, 4096, whole=True))),
        **genotype.SETTINGS,
        "stem": Setting("first layers", Choice(tuple(USUAL))),
        "binary": shared.BINARY,
        "released_slip": Setting(
            "leave the last two kernels in 32 bits, as the authors' code does", Switch()
        ),
    },
    variants=VARIANTS,
    recipes=RECIPES,
    other_recipes={"cifar10": "bnas_cifar10"},
    # torchvision's constants for ImageNet, and the authors' own for CIFAR-10.
    normalizations={"imagenet2012": "larq_zoo", "cifar10": "bnas_cifar10"},
    params=PARAMS,
    check=genotype.check,
    torch_settings={"released_slip": True},
    torch_naming=checkpoints.naming,
)
OWN_CELLS = dataclasses.replace(
    PAPER,
    variants={OWN: {}},
    recipes={OWN: "bnas"},
    params={},
    files={"genotype": genotype.read},
    torch_naming=None,  # registered once
)
