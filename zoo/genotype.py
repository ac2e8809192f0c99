"""Genotypes of BNAS: the two forms of cells as data.

A cell has six nodes: 0 and 1 are its inputs, 2 to 5 are sums of two operations on earlier nodes. It is
written as eight edges, two for each of the nodes 2 to 5, and an edge as its operation and the node that it
takes: "conv3 1". A file holds both forms as JSON:

    {"normal": ["conv3 1", ...], "reduction": ["max 0", ...]}
"""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bnn_keras import json_file
from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import Setting, Texts

INPUTS, NODES, EDGES_OF_A_NODE = 2, 4, 2
ZEROISE = "none"  # the operation whose output is 0
POOLS = ("max", "avg")  # of 3x3 pixels
CONVOLUTIONS = {"conv3": (3, 1), "conv5": (5, 1), "dil3": (3, 2), "dil5": (5, 2)}  # edge and dilation
OPERATIONS = (ZEROISE, *POOLS, *CONVOLUTIONS)

FORMS = ("normal", "reduction")
# Found on CIFAR-10 (gamma 1), and with less zeroise for ImageNet (gamma 3).
CIFAR10 = dict(
    normal=("none 1", "dil3 0", "conv3 1", "none 2", "none 2", "none 3", "none 3", "none 4"),
    reduction=("max 0", "none 1", "max 0", "none 2", "none 3", "none 2", "none 3", "none 4"),
)
IMAGENET = dict(
    normal=("conv3 1", "dil3 0", "conv3 1", "conv3 2", "conv3 2", "dil3 1", "dil3 1", "conv3 0"),
    reduction=("max 0", "max 1", "max 0", "conv3 2", "max 0", "dil3 3", "max 0", "dil3 4"),
)

FILE = "genotype.json"  # in the run folder of a search
LARGEST_FILE = 2**16  # bytes

_KIND = Texts("eight operations, each with the node that it takes")
SETTINGS = {form: Setting(f"operations of the {form} cells", _KIND) for form in FORMS}


@dataclasses.dataclass(frozen=True)
class Edge:
    """An operation on a node.

    Args:
        operation: one of `OPERATIONS`.
        node: the node that it takes.
        name: of the edge in its cell, "edge1" to "edge8".
    """

    operation: str
    node: int
    name: str


def edges_by_node(genotype: Sequence[str]) -> list[list[Edge]]:
    """The edges that lead to each of the nodes 2 to 5, without those of zeroise.

    Args:
        genotype: the eight edges of a cell.
    """
    parts = [text.split() for text in genotype]
    edges = [Edge(name, int(node), f"edge{number}") for number, (name, node) in enumerate(parts, start=1)]
    pairs = [edges[start : start + EDGES_OF_A_NODE] for start in range(0, len(edges), EDGES_OF_A_NODE)]
    return [[edge for edge in pair if edge.operation != ZEROISE] for pair in pairs]


def reductions(cells: int) -> tuple[int, int]:
    """The places of the reduction cells among so many cells, counted from 0."""
    return cells // 3, 2 * cells // 3


def zero_nodes(genotype: Sequence[str]) -> list[int]:
    """The nodes that only zeroise leads to."""
    return [node for node, pair in enumerate(edges_by_node(genotype), start=INPUTS) if not pair]


def zero_channels(genotype: Sequence[str], filters: int) -> list[int]:
    """The channels of a cell's output that are 0, without the shortcut.

    Args:
        genotype: the eight edges of a cell.
        filters: channels of a node.
    """
    starts = [(node - INPUTS) * filters for node in zero_nodes(genotype)]
    return [start + channel for start in starts for channel in range(filters)]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    normal: tuple[str, ...]
    reduction: tuple[str, ...]
    # Of the search: what was reached with these cells, and when.
    epoch: int | None = None
    held_out_accuracy: float | None = None


KEYS = _File.__struct_fields__


def read(path: str | os.PathLike) -> dict[str, tuple[str, ...]]:
    """Read a genotype, as the settings of a network.

    Args:
        path: of a JSON file, or of the run folder of a search.

    Returns:
        "normal" and "reduction", eight edges each.

    Raises:
        UserError: the file cannot be read, or holds no genotype.
    """
    if not isinstance(path, str | os.PathLike):
        raise UserError(f"genotype names a JSON file, or the run folder of a search. Received: {path!r:.80}.")
    file = Path(path) / FILE if os.path.isdir(path) else Path(path)
    found = json_file.read_json(file, _File, f"a genotype (keys: {', '.join(KEYS)})", LARGEST_FILE)
    cells = {form: getattr(found, form) for form in FORMS}
    try:
        check(cells)
    except UserError as error:
        raise UserError(f"{file} holds no genotype: {error}") from error
    return cells


def check(settings: Mapping[str, Any]) -> None:
    """Raise UserError for a genotype that describes no cell, or for settings without one."""
    for form in FORMS:
        if form not in settings:
            raise UserError(
                f"bnas has no cells of its own: give their genotype (in a command --genotype, a JSON file or "
                f"the run folder of a search), or the settings {' and '.join(FORMS)}. Received: no {form}."
            )
        _check(form, settings[form])


def _check(form: str, genotype: Sequence[str]) -> None:
    if len(genotype) != NODES * EDGES_OF_A_NODE:
        raise UserError(
            f"{form} has two operations for each of the nodes 2 to 5, eight in all. "
            f"Received: {len(genotype)} operations."
        )
    for number, text in enumerate(genotype):
        node = INPUTS + number // EDGES_OF_A_NODE
        match = re.fullmatch(r"(\w+) (\d)", text)
        if match is None or match[1] not in OPERATIONS or int(match[2]) >= node:
            raise UserError(
                f"Node {node} of {form} takes one of {', '.join(OPERATIONS)}, a space, and an earlier node "
                f"from 0 to {node - 1}. Received: {text[:40]!r}."
            )
    _check_zeros(form, genotype)


def _check_zeros(form: str, genotype: Sequence[str]) -> None:
    zeros = zero_nodes(genotype)
    if len(zeros) == NODES:
        raise UserError(f"{form} needs an operation other than {ZEROISE}. Received: {', '.join(genotype)}.")
    for node, pair in enumerate(edges_by_node(genotype), start=INPUTS):
        for edge in pair:
            if edge.node in zeros:
                raise UserError(
                    f"Node {node} of {form} takes node {edge.node}, which has no input but {ZEROISE}. "
                    f"Received: {', '.join(genotype)}."
                )
