"""What a .tflite file costs on ARM64: an estimate of executed instructions, not of time."""

from bnn_keras.accounting.cost.estimate import Cost, Operation, Sum, estimate
from bnn_keras.accounting.cost.unit_costs import COLUMNS

__all__ = ["COLUMNS", "Cost", "Operation", "Sum", "estimate"]
