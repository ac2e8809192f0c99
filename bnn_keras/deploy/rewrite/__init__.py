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
    common_factors,
    free_thresholds,
    groups,
    image_shifts,
    late_joins,
    means,
    pixel_pairs,
    pooled_shifts,
    recouplings,
    scales,
    sections,
    thresholds,
    turns,
)
from bnn_keras.deploy.rewrite.applied import Applied
from bnn_keras.deploy.rewrite.equal import untie_equal
from bnn_keras.deploy.rewrite.operations import Network
from bnn_keras.deploy.rewrite.reading import read
from bnn_keras.errors import UserError, one_of
from bnn_keras.nn.graph import Graph
from bnn_keras.settings.runtime import BUILTIN, LCE, LCE_XNNPACK, RUNTIMES

NOTE = "bnn_keras.rewrite"  # name of the options in a file
# In the order in which they are applied.
REWRITES: tuple[ModuleType, ...] = (
    scales,
    pooled_shifts,
    thresholds,
    recouplings,
    means,
    carried_shifts,
    common_factors,
    sections,
    late_joins,
    free_thresholds,
    groups,
    average_pools,
    turns,
    image_shifts,
    pixel_pairs,
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


# All rewrites, which is the default, and none.
OPTIMIZED, IDENTITY = Options(), Options(skip=NAMES)


def rewritten(graph: Graph, options: Options = OPTIMIZED) -> tuple[Network, list[Applied]]:
    """The operations of a model in the form that the options ask for, and what each rewrite did.

    Args:
        graph: of a model with one input and one output.
        options: the runtime, and what is skipped.
    """
    network = read(graph)
    done = []
    # Runtimes without LCE run XNNPACK's kernels.
    cheap_for = LCE_XNNPACK if options.runtime == BUILTIN else options.runtime
    for rewrite in REWRITES:
        if rewrite.NAME not in options.skip:
            before = _kinds(network)
            places = rewrite.apply(network, cheap_for)
            after = _kinds(network)
            done.append(
                Applied(rewrite.NAME, places, dict(before - after), dict(after - before), rewrite.NEEDS)
            )
    if options.runtime == BUILTIN:
        steps.apply(network)
    untie_equal(network)
    return network, done


def _kinds(network: Network) -> collections.Counter[str]:
    return collections.Counter(operation.kind for operation in network.operations())
