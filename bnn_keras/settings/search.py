"""How cells are searched for: settings without the computation, which `bnn_keras.search` does."""

import dataclasses

from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import Choice, Number, Switch, convert_fields, setting

PAPER, RELEASED = "paper", "released"


@dataclasses.dataclass(frozen=True)
class Space:
    """What is searched: cells of several forms, whose edges have one of several operations each.

    The nodes of a cell are numbered; 0 and 1 are its inputs.

    Args:
        forms: of cells.
        edges: the node that each takes and the node that it leads to, ordered by the latter.
        operations: of an edge.
        zeroise: the operation whose output is 0.
        edges_of_a_node: how many edges that lead to a node are kept.
    """

    forms: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    operations: tuple[str, ...]
    zeroise: str
    edges_of_a_node: int = 2

    @property
    def targets(self) -> list[int]:
        """The nodes that edges lead to, in ascending order."""
        return sorted({target for _, target in self.edges})


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """The settings of an architecture search; the defaults are those of BNAS.

    Args:
        cells, channels: of the weight-sharing network: number of cells, and channels of a node of the first.
        no_skip: no cell adds the output of the cell before it to its own.
        no_zeroise: the operation whose output is 0 is not among those that are searched.
        released_slip: leave the last kernels in 32 bits, as an indexing slip in the authors' code does.
        score_learning_rate, score_weight_decay: of Adam, which updates the scores.
        diversity: weight of the edges' mean entropy, which is subtracted from the loss of the scores.
        diversity_decay: epochs in which that weight falls to 1 / e.
        released_diversity: count the last edge of the reduction cell in place of every other of its edges,
            as the authors' code does.
        gamma: what the weights of zeroise are divided by before operations are chosen (equation 5).
        gamma_form: "released" divides all weights of the first edge instead, as the authors' code does.

    Raises:
        UserError: a value that is not valid, or settings that do not go together.
    """

    cells: int = setting("cells of the weight-sharing network", Number(3, 100, whole=True), 8)
    channels: int = setting("channels of a node of the first cell", Number(1, 4096, whole=True), 16)
    no_skip: bool = setting("ablation: cells without shortcuts from the cell before", Switch(), False)
    no_zeroise: bool = setting("ablation: no operation whose output is 0", Switch(), False)
    released_slip: bool = setting("leave the kernels in 32 bits that the authors' slip does", Switch(), False)
    score_learning_rate: float = setting(
        "learning rate of the operations' scores", Number(0, open_low=True), 3e-4
    )
    score_weight_decay: float = setting("weight decay of the scores", Number(0), 1e-3)
    diversity: float = setting("weight of the entropy of the edges' operations", Number(0), 1.0)
    diversity_decay: float = setting(
        "epochs in which that weight falls to 1/e", Number(0, open_low=True), 7.7
    )
    released_diversity: bool = setting("the entropy as the authors' code counts it", Switch(), False)
    gamma: float = setting(
        "divides the weights of zeroise before the choice; 3 for ImageNet", Number(0, open_low=True), 1.0
    )
    gamma_form: str = setting(
        "released: divide all weights of the first edge", Choice((PAPER, RELEASED)), PAPER
    )

    def __post_init__(self) -> None:
        convert_fields(self)
        if self.no_zeroise and self.gamma_form == PAPER and self.gamma != 1:
            raise UserError(
                f"gamma divides the weights of zeroise, which no_zeroise leaves out. Received: {self.gamma}."
            )
