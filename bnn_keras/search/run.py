"""A whole search, in a run folder from which it can be resumed."""

import dataclasses
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from bnn_keras import status, training
from bnn_keras.data import Dataset
from bnn_keras.errors import UserError
from bnn_keras.json_file import read_json
from bnn_keras.runs.folder import RunFolder
from bnn_keras.search.halves import Halves
from bnn_keras.search.record import Record
from bnn_keras.search.searcher import Searcher
from bnn_keras.settings.recipe import DEFAULTS, Recipe
from bnn_keras.settings.search import SearchSettings, Space

UNUSED = ("accumulate", "freeze", "precision")  # keys of recipes


@dataclasses.dataclass(frozen=True)
class _Epoch:
    """What is read of a file of cells."""

    epoch: int


def search(
    network: tf.keras.Model,
    space: Space,
    dataset: Dataset,
    recipe: Recipe,
    settings: SearchSettings,
    output_dir: str | os.PathLike,
    *,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
    checkpoint_steps: int = training.CHECKPOINT_STEPS,
    log_seconds: float = status.LOG_SECONDS,
    stop: Callable[[], bool] = lambda: False,
) -> str:
    """Search for cells, or resume the search that was begun in `output_dir`.

    A search is a training of the weight-sharing network (`bnn_keras.train`) whose step has two updates, see
    `Searcher`. One half of the training images is for the weights, the other half for the scores; the latter
    are also the held-out images. The test images of the data set are not used.

    Beside the files of every run, the folder holds the cells of each epoch (genotypes/), and those of the
    best one as genotype.json and pictures/cells.png.

    Args:
        network: the weight-sharing network, see `Searcher`.
        space: what is searched.
        dataset: with images of the network's size and its number of classes.
        recipe: of the weights' training.
        settings: of the search.
        output_dir: the run folder: a new or empty one, or that of the same search.
        seed: of the order and the augmentation of the images.
        config: further fields of `bnn_keras.runs.config.RunConfig`.
        checkpoint_steps, log_seconds, stop: as for `bnn_keras.train`.

    Returns:
        A sentence: the accuracy of the best epoch, the file with its cells, and the command that trains them.

    Raises:
        UserError: a setting that is not valid, too few images, a folder of another run, or a search in which
            no epoch had cells with an operation other than zeroise.
    """
    check(dataset, recipe)
    folder = RunFolder(Path(output_dir))
    sentence = training.train(
        network,
        Halves.of(dataset),
        recipe,
        folder.path,
        seed=seed,
        settings={**(config or {}), "search": settings},
        checkpoint_steps=checkpoint_steps,
        log_seconds=log_seconds,
        extra_callbacks=[Record(folder, space, settings)],
        make_trainer=lambda student: Searcher(student, space, settings),
        stop=stop,
        conclusion=_conclusion,
    )
    if not folder.genotype.is_file():
        raise UserError(
            f"The search in {folder.path} has found no cells: in each epoch, those of some form had "
            f"{space.zeroise} on all edges; search with a larger --gamma, or with --no_zeroise."
        )
    return sentence


def check(dataset: Dataset, recipe: Recipe) -> None:
    """Raise UserError if a search on this data set cannot train the weights by this recipe."""
    for key in UNUSED:
        if getattr(recipe, key) != DEFAULTS[key]:
            raise UserError(
                f"A search trains all weights by whole batches in float32: {key} must be {DEFAULTS[key]}. "
                f"Received: {getattr(recipe, key)}."
            )
    Halves.of(dataset).steps_per_epoch(recipe.batch_size)


def _conclusion(folder: RunFolder) -> str:
    if not folder.genotype.is_file():
        return "and no epoch had cells with an operation in every form"
    epoch = read_json(folder.genotype, _Epoch, "the cells that a search found").epoch
    return (
        f"and has found the cells of epoch {epoch}, in {folder.genotype};\n"
        f"to train them: bnn train --model=bnas --genotype={shlex.quote(str(folder.path))}"
    )
