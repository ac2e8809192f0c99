"""Estimate what rewrites save: the table of docs/cost.md, ARM64 instructions of networks of the zoo.

bnn benchmark rewrites --model=bnext_t [--model=NAME ...] [flags]

The networks are new ones with random BatchNorm statistics. They are converted three times, without rewrites
and for each runtime, and not verified. Below each row stands what is left, by kind of operation.
"""

from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.flags import COUNT, Flag
from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import Text
from bnn_keras.settings.runtime import LCE, LCE_XNNPACK

if TYPE_CHECKING:
    from bnn_keras.accounting.cost import Cost

FLAGS = [
    Flag("model", Text("a name of the zoo"), "network; several are possible", repeated=True),
    Flag("image_size", COUNT, "edge in pixels", 224),
]
COLUMNS = {LCE: "tflite", LCE_XNNPACK: "xnnpack"}
HEADINGS = ("network", "TFLite's kernels", "rewritten", "XNNPACK", "rewritten")
SMALLEST = 2e-4  # of all instructions; kinds below it are not printed


def run(values: FlagValues, positional: list[str]) -> None:
    """Convert each network and print its row."""
    flags.no_more(positional)
    if not values.model:
        raise UserError("Give --model, a network of the zoo. Received: none.")
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    for name in values.model:
        plain, rewritten = _estimates(name, values.image_size)
        row = [
            f"{_millions(cost, column):.1f}"
            for runtime, column in COLUMNS.items()
            for cost in (plain, rewritten[runtime])
        ]
        print(f"| {name} | {' | '.join(row)} |")
        for runtime, column in COLUMNS.items():
            print(f"{runtime}: {_kinds(rewritten[runtime], column)}", flush=True)


def _estimates(name: str, size: int) -> "tuple[Cost, dict[str, Cost]]":
    """Without rewrites, and rewritten for each runtime."""
    import zoo
    from bnn_keras import deploy
    from bnn_keras.accounting.cost import estimate
    from bnn_keras.cli.benchmark.convert import randomise_statistics
    from bnn_keras.deploy.conversion.hardening import harden
    from bnn_keras.tflite.flatbuffer import Flatbuffer

    model = zoo.build(name, (size, size, 3))
    randomise_statistics(model)
    model = harden(model)

    def cost(options: deploy.Options) -> "Cost":
        return estimate(Flatbuffer(deploy.to_flatbuffer(model, options=options)))

    return cost(deploy.IDENTITY), {runtime: cost(deploy.Options(runtime)) for runtime in COLUMNS}


def _millions(cost: "Cost", column: str) -> float:
    return cost.total.instructions[column] / 1e6


def _kinds(cost: "Cost", column: str) -> str:
    from bnn_keras.accounting.cost.words import millions

    found = {kind: one.instructions[column] for kind, one in cost.kinds.items()}
    largest = sorted(found, key=lambda kind: -found[kind])
    least = SMALLEST * cost.total.instructions[column]
    kinds = [f"{kind} {millions(found[kind])}" for kind in largest if found[kind] >= least]
    return f"{', '.join(kinds)}; floor of the binary part {millions(cost.floor)}"
