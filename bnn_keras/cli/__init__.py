"""The command line: one file a verb.

A verb's file says in its docstring what it does, declares its flags in `FLAGS`, and does the work in
`run(values, positional)`, which returns None, or an exit status of `bnn_keras.cli.door`. It imports
nothing but light modules at its top, so that help and mistakes in flags come at once; `run` imports what
it needs, with TensorFlow already there.
"""

from bnn_keras.cli.door import main, run

VERBS = (
    "train",
    "search",
    "convert",
    "quantize",
    "demo",
    "evaluate",
    "predict",
    "summary",
    "cost",
    "tables",
    "teachers",
    "report",
    "preview",
    "launch",
    "data-service",
    "benchmark",
)

__all__ = ["VERBS", "main", "run"]
