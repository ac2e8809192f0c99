"""Every verb of `bnn VERB`, a file each."""

import importlib
import sys
from collections.abc import Sequence

VERBS = {
    "evaluate": "evaluate",
    "predict": "predict",
    "summary": "summary",
    "tables": "tables",
    "teachers": "teachers",
    "launch": "launch",
    "data-service": "data_service",
    "preview": "preview",
    "report": "report",
    "benchmark": "benchmark.verbs",
}


def main(argv: Sequence[str] | None = None) -> int:
    program, verb, *words = sys.argv if argv is None else argv
    return importlib.import_module(f"bnn_keras.cli.{VERBS[verb]}").main([program, *words])
