"""Parameters, size and operations of a model, counted from its layers."""

from bnn_keras.accounting.counting import BOPS_PER_OP, Profile, Row, profile

__all__ = ["BOPS_PER_OP", "Profile", "Row", "profile"]
