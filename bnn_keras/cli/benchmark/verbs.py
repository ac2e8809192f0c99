"""The door to the benchmarks: `python -m bnn_keras benchmark VERB [flags]`."""

import importlib
import sys
from collections.abc import Sequence

from absl import flags

from bnn_keras.cli import command as cli
from bnn_keras.errors import one_of

VERBS = ("data", "convert", "step", "train", "flips", "distill")
USAGE = f"""python -m bnn_keras benchmark VERB [flags]

VERB is one of {", ".join(VERBS)}; --help behind it lists its flags.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Hand the command line on to the verb's module."""
    program, *words = sys.argv if argv is None else argv
    if words and words[0] in VERBS:
        return importlib.import_module(f"bnn_keras.cli.benchmark.{words[0]}").main([program, *words[1:]])

    def refuse(_, positional):
        raise one_of("benchmark", positional[0] if positional else "", VERBS)

    return cli.run(refuse, flags.FlagValues(), USAGE, [program, *words])


if __name__ == "__main__":
    sys.exit(main())
