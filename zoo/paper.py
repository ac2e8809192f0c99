"""What the file of a paper gives to the registry."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from bnn_keras.settings.kinds import Setting
from bnn_keras.weights.foreign import Hdf5Reader, TorchNaming


@dataclasses.dataclass(frozen=True)
class Paper:
    """The networks of one paper.

    Args:
        network: builds a network: `network(x, *, head, **settings)`, where x holds normalised images,
            [batch, height, width, 3], and `head` is a `zoo.shared.Head`.
        settings: kind and meaning of every setting that `network` takes.
        variants: for each published name the settings that differ from the defaults of `network`.
        recipes: for each published name the recipe of its training on ImageNet.
        other_recipes: recipes of the paper for other data sets, by the data set's name.
        normalizations: the authors' constants, where they differ from those that are usual for a data
            set, by the name of the usual ones.
        params: the published number of parameters, by name, where one is published.
        files: settings of `zoo.build` that name a file, and for each what reads from it the settings of
            `network` that it holds.
        check: raises UserError for settings that are valid alone and do not go together.
        torch_settings: the settings of `zoo.build` with which a network computes what the authors' PyTorch
            checkpoint computes.
        larq_zoo_settings: the same for the files of larq-zoo.
        torch_naming, hdf5_reader: read the authors' checkpoints; see `bnn_keras.weights`.
    """

    network: Callable[..., tf.Tensor]
    settings: Mapping[str, Setting]
    variants: Mapping[str, Mapping[str, Any]]
    recipes: Mapping[str, str]
    other_recipes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    normalizations: Mapping[str, str | tuple] = dataclasses.field(default_factory=dict)
    params: Mapping[str, int] = dataclasses.field(default_factory=dict)
    files: Mapping[str, Callable[[str | os.PathLike], Mapping[str, Any]]] = dataclasses.field(
        default_factory=dict
    )
    check: Callable[[Mapping[str, Any]], None] = lambda settings: None
    torch_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    larq_zoo_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    torch_naming: TorchNaming | None = None
    hdf5_reader: Hdf5Reader | None = None
