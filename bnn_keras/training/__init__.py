"""Training a network by a recipe, in a run folder that it can be resumed from."""

from bnn_keras.training.fit import CHECKPOINT_STEPS, WIDTH, make_deterministic, train

__all__ = ["CHECKPOINT_STEPS", "WIDTH", "make_deterministic", "train"]
