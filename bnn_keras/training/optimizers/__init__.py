"""The optimizers that a recipe can name."""

from collections.abc import Callable
from functools import partial
from typing import Any

from bnn_keras.errors import one_of
from bnn_keras.settings.recipe import OPTIMIZER_KEYS, Recipe
from bnn_keras.training import schedules
from bnn_keras.training.optimizers.adam import Adam, AdamW
from bnn_keras.training.optimizers.base import Optimizer
from bnn_keras.training.optimizers.bop import Bop
from bnn_keras.training.optimizers.radam import RAdam
from bnn_keras.training.optimizers.sgd import SGD

__all__ = ["OPTIMIZERS", "SGD", "Adam", "AdamW", "Bop", "Optimizer", "RAdam", "get", "optimizer_of"]

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "bop": Bop,
    "radam": RAdam,  # with the settings of MeliusNet's released code
    # Algorithm 2 of Liu et al., with the epsilon of the authors' code.
    "radam_liu": partial(RAdam, beta_1=0.9, beta_2=0.999, epsilon=1e-8, rectified_above=4.0),
    "sgd": SGD,
}
# Keys of a recipe whose argument of the optimizer has another name.
ARGUMENTS = {"bop_threshold": "threshold", "bop_gamma": "gamma"}
SHARED_KEYS = ("weight_decay", "kernel_weight_decay", "decay_groups", "clip_norm")


def get(name: str, learning_rate: float | schedules.Schedule, **settings: Any) -> Optimizer:
    """Make an optimizer.

    Args:
        name: "radam" (as in MeliusNet), "radam_liu" (as in its own paper), "adam", "adamw", "sgd"
            (momentum 0.9) or "bop" (with Adam for the weights that are not binary).
        learning_rate: a number or a schedule.
        settings: arguments of the optimizer that replace its defaults.

    Raises:
        UserError: an unknown name.
    """
    if name not in OPTIMIZERS:
        raise one_of("optimizer", name, sorted(OPTIMIZERS))
    return OPTIMIZERS[name](learning_rate, **settings)


def optimizer_of(recipe: Recipe, steps_per_epoch: int) -> Optimizer:
    """The optimizer that a recipe prescribes when an epoch has this many steps."""
    given = {ARGUMENTS.get(key, key): getattr(recipe, key) for key in OPTIMIZER_KEYS[recipe.optimizer]}
    given.pop("cycle_momentum", None)
    if "momentum" in given:
        given["momentum"] = schedules.momentum_of(recipe, steps_per_epoch)
    settings = {key: value for key, value in given.items() if value is not None}
    shared = {key: getattr(recipe, key) for key in SHARED_KEYS}
    learning_rate = schedules.learning_rate_of(recipe, steps_per_epoch)
    return get(recipe.optimizer, learning_rate, **settings, **shared)
