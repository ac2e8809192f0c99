"""Run folders, and trained networks whatever file they are in."""

from bnn_keras.runs.folder import RunFolder, default, environment
from bnn_keras.runs.table import Table

__all__ = ["RunFolder", "Table", "default", "environment"]
