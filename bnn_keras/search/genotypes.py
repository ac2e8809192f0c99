"""Cells as data: how they are chosen from the weights of operations, and the files that hold them."""

import dataclasses
import json
from collections.abc import Mapping

import numpy as np

from bnn_keras.settings.search import PAPER, RELEASED, SearchSettings, Space


@dataclasses.dataclass(frozen=True)
class Genotype:
    """The cells that a search has found.

    Args:
        cells: of each form the edges that are kept, two for each node, as "OPERATION NODE".
        epoch: that began with these cells, from 1.
        held_out_accuracy: of the weight-sharing network after that epoch, from 0 to 1.
    """

    cells: Mapping[str, tuple[str, ...]]
    epoch: int
    held_out_accuracy: float

    def to_json(self) -> str:
        """The text of a file that `bnn train --genotype` takes."""
        found = {"epoch": self.epoch, "held_out_accuracy": self.held_out_accuracy}
        return json.dumps({**self.cells, **found}, indent=2) + "\n"


def choose(weights: np.ndarray, space: Space, gamma: float = 1.0, gamma_form: str = PAPER) -> tuple[str, ...]:
    """The edges of a cell: for each node the two whose best operation has the largest weight (DARTS, 2.4).

    Args:
        weights: of the operations, the softmax of their scores, [edges, operations].
        space: the edges and operations.
        gamma, gamma_form: see `SearchSettings`.

    Returns:
        Texts "OPERATION NODE", by the node that they lead to, the largest weight first.
    """
    weights = np.array(weights)
    if gamma_form == RELEASED:
        weights[0] /= gamma
    elif space.zeroise in space.operations:
        weights[:, space.operations.index(space.zeroise)] /= gamma
    chosen: list[str] = []
    for node in space.targets:
        rows = [row for row, (_, target) in enumerate(space.edges) if target == node]
        best = sorted(rows, key=lambda row: -weights[row].max())[: space.edges_of_a_node]
        chosen += [f"{space.operations[weights[row].argmax()]} {space.edges[row][0]}" for row in best]
    return tuple(chosen)


def prune(cell: tuple[str, ...], space: Space) -> tuple[str, ...]:
    """The cell with zeroise on every edge from a node that is 0, because only zeroise leads to it.

    This changes nothing in the weight-sharing network: its BatchNorms have no shift, so every operation on
    zeros gives zeros there.
    """
    pruned: list[str] = []
    empty: set[str] = set()
    size = space.edges_of_a_node
    for place, node in enumerate(space.targets):
        edges = [text.split() for text in cell[place * size : (place + 1) * size]]
        edges = [[space.zeroise if source in empty else name, source] for name, source in edges]
        if all(name == space.zeroise for name, _ in edges):
            empty.add(str(node))
        pruned += [" ".join(edge) for edge in edges]
    return tuple(pruned)


def find(
    weights: Mapping[str, np.ndarray], space: Space, settings: SearchSettings
) -> dict[str, tuple[str, ...]]:
    """The cells of all forms.

    Args:
        weights: of the operations by form, [edges, operations].
        space: what is searched.
        settings: of the search.
    """
    return {
        form: prune(choose(own, space, settings.gamma, settings.gamma_form), space)
        for form, own in weights.items()
    }


def is_usable(cells: Mapping[str, tuple[str, ...]], space: Space) -> bool:
    """Whether every form has an operation other than zeroise."""
    return all(any(edge.split()[0] != space.zeroise for edge in cell) for cell in cells.values())
