"""The cheapest exact form of a network: plain operations, and rewrites that change them.

The operations of a model (`reading`) are changed by one rewrite after the other, and then traced for the
converter. Each rewrite is exact in real numbers: it has a file of its own with `NAME`, `NEEDS` (what it
applies to, in words) and `apply(network, runtime)`, and a place in `REWRITES`.
"""

import collections
import dataclasses
import json
from types import ModuleType

import msgspec

from bnn_keras.deploy.portable import steps
from bnn_keras.deploy.rewrite import (
    average_pools,
    carried_shifts,
    free_thresholds,
    groups,
    image_shifts,
    late_joins,
    means,
    pooled_shifts,
    recouplings,
    scales,
    sections,
    thresholds,
)
from bnn_keras.deploy.rewrite.operations import Network
from bnn_keras.deploy.rewrite.reading import read
from bnn_keras.errors import UserError, one_of
from bnn_keras.nn.graph import Graph
from bnn_keras.settings.runtime import BUILTIN, LCE, RUNTIMES

NOTE = "bnn_keras.rewrite"  # name of the options in a file
# In the order in which they are applied.
REWRITES: tuple[ModuleType, ...] = (
    scales,
    pooled_shifts,
    thresholds,
    recouplings,
    means,
    carried_shifts,
    sections,
    late_joins,
    free_thresholds,
    groups,
    average_pools,
    image_shifts,
)
NAMES = tuple(rewrite.NAME for rewrite in REWRITES)


@dataclasses.dataclass(frozen=True)
class Options:
    """Which form a network gets.

    Args:
        runtime: that the file will run on, one of `RUNTIMES`.
        skip: the names of rewrites that are not applied.

    Raises:
        UserError: an unknown runtime or rewrite.
    """

    runtime: str = LCE
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIMES:
            raise one_of("runtime", self.runtime, RUNTIMES)
        for name in self.skip:
            if name not in NAMES:
                raise one_of("rewrite", name, NAMES)

    def to_json(self) -> bytes:
        """The options as a file holds them."""
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def from_json(cls, content: bytes | None) -> "Options":
        """The options that a file holds; `IDENTITY` if it holds none.

        Raises:
            UserError: they are damaged.
        """
        if content is None:
            return IDENTITY
        try:
            held = msgspec.json.decode(content, type=cls)
        except msgspec.DecodeError as error:
            raise UserError(f"The note {NOTE!r} in the file is damaged: {error}.") from error
        return cls(held.runtime, held.skip)


# All rewrites, and none.
OPTIMIZED, IDENTITY = Options(), Options(skip=NAMES)
DEFAULT = IDENTITY


@dataclasses.dataclass(frozen=True)
class Applied:
    """What a rewrite did.

    Args:
        name: of the rewrite.
        places: where it applies.
        removed, added: numbers of operations by kind.
        needs: what it applies to, in words.
    """

    name: str
    places: int
    removed: dict[str, int]
    added: dict[str, int]
    needs: str

    @property
    def sentence(self) -> str:
        """What it did, in words."""
        if not self.places:
            return f"{self.name}: applies nowhere, as it needs {self.needs}"
        removed, added = (
            ", ".join(f"{n} {kind}" for kind, n in of.items()) for of in (self.removed, self.added)
        )
        changes = [f"{verb} {what}" for verb, what in (("removes", removed), ("adds", added)) if what]
        return f"{self.name}: applies in {self.places} places, {', '.join(changes) or 'changes their form'}"


def rewritten(graph: Graph, options: Options = DEFAULT) -> tuple[Network, list[Applied]]:
    """The operations of a model in the form that the options ask for, and what each rewrite did.

    Args:
        graph: of a model with one input and one output.
        options: the runtime, and what is skipped.
    """
    network = read(graph)
    done = []
    for rewrite in REWRITES:
        if rewrite.NAME not in options.skip:
            before = _kinds(network)
            places = rewrite.apply(network, options.runtime)
            after = _kinds(network)
            done.append(
                Applied(rewrite.NAME, places, dict(before - after), dict(after - before), rewrite.NEEDS)
            )
    if options.runtime == BUILTIN:
        steps.apply(network)
    return network, done


def _kinds(network: Network) -> collections.Counter[str]:
    return collections.Counter(operation.kind for operation in network.operations())
