"""The optimizers of the recipes, by name."""

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from bnn_keras.errors import one_of
from bnn_keras.settings.recipe import OPTIMIZER_KEYS, Recipe
from bnn_keras.training import schedules
from bnn_keras.training.optimizers.adam import Adam, AdamW
from bnn_keras.training.optimizers.base import Optimizer
from bnn_keras.training.optimizers.bop import Bop
from bnn_keras.training.optimizers.decay import is_binary_kernel
from bnn_keras.training.optimizers.radam import RAdam
from bnn_keras.training.optimizers.sgd import SGD

__all__ = ["OPTIMIZERS", "SGD", "Adam", "AdamW", "Bop", "Optimizer", "RAdam", "get", "is_binary_kernel", "of"]

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "bop": Bop,
    "radam": RAdam,  # as the released code of MeliusNet
    # As in Liu et al., algorithm 2, with the epsilon of the authors' code.
    "radam_liu": partial(RAdam, beta_1=0.9, beta_2=0.999, epsilon=1e-8, rectified_above=4.0),
    "sgd": SGD,
}
# A recipe's names of what only some optimizers have, where the optimizer's own differ.
ARGUMENTS = {"bop_threshold": "threshold", "bop_gamma": "gamma"}
SHARED_KEYS = ("weight_decay", "kernel_weight_decay", "decay_groups", "clip_norm")


def get(name: str, learning_rate, **settings) -> Optimizer:
    """A new optimizer.

    Args:
        name: "radam" (MeliusNet's), "radam_liu" (the paper's), "adam", "adamw", "sgd" (momentum 0.9)
            or "bop" (with Adam for what is not binary).
        learning_rate: a number or a schedule.
        settings: of the optimizer, in place of its own.

    Raises:
        UserError: an unknown name.
    """
    if name not in OPTIMIZERS:
        raise one_of("optimizer", name, sorted(OPTIMIZERS))
    return OPTIMIZERS[name](learning_rate, **settings)


def of(recipe: Recipe, steps_per_epoch: int) -> tf.keras.optimizers.Optimizer:
    """The optimizer that a recipe means when an epoch has so many steps."""
    given = {ARGUMENTS.get(key, key): getattr(recipe, key) for key in OPTIMIZER_KEYS[recipe.optimizer]}
    given.pop("cycle_momentum", None)
    if "momentum" in given:
        given["momentum"] = schedules.momentum_of(recipe, steps_per_epoch)
    settings = {key: value for key, value in given.items() if value is not None}
    shared = {key: getattr(recipe, key) for key in SHARED_KEYS}
    return get(recipe.optimizer, schedules.learning_rate_of(recipe, steps_per_epoch), **settings, **shared)
