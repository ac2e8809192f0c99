"""Training a network by a recipe, in a run folder from which it can be resumed."""

import dataclasses
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from bnn_keras import files, status
from bnn_keras import weights as weights_files
from bnn_keras.data import Dataset, service
from bnn_keras.errors import UserError, one_of
from bnn_keras.nn import memory
from bnn_keras.runs.config import RunConfig
from bnn_keras.runs.folder import RunFolder
from bnn_keras.settings.checkpoint import STEPS as CHECKPOINT_STEPS
from bnn_keras.settings.kinds import COUNT, SEED, Number, convert_value
from bnn_keras.settings.recipe import Recipe
from bnn_keras.training import distribution, drop_path
from bnn_keras.training.loop import Run, for_conversion
from bnn_keras.training.trainer import plain_trainer

WIDTH = 80  # of printed lines


def make_deterministic(seed: int) -> None:
    """Make initial weights and training depend on the seed alone. Call this before building a network.

    Raises:
        UserError: a seed that is no whole number, or out of range.
    """
    convert_value("The seed", SEED, seed)
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def train(
    network: tf.keras.Model,
    dataset: Dataset,
    recipe: Recipe,
    output_dir: str | os.PathLike,
    *,
    seed: int = 0,
    settings: Mapping | None = None,
    weights: str | os.PathLike | None = None,
    weights_note: str = "",
    checkpoint_steps: int = CHECKPOINT_STEPS,
    log_seconds: float = status.LOG_SECONDS,
    sync_batch_norm: bool = False,
    data_service: str | None = None,
    extra_callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    make_trainer: Callable[[tf.keras.Model], tf.keras.Model] | None = None,
    conclusion: Callable[[RunFolder], str] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> str:
    """Train a network, or resume the training that was begun in `output_dir`.

    A run is extended, finished or not, by its recipe with more epochs: see `Recipe.extend`.

    The same seed, machine and versions give the same weights, whether or not the run was interrupted, if
    `make_deterministic` was called before the network was built.

    A network that was built in the scope of a `tf.distribute` strategy is trained on all its replicas.
    One of several workers writes the run folder, which all of them must be able to read. Unlike those of
    Keras's BackupAndRestore, the checkpoints also hold the position within an epoch, the running metrics
    and the counts of flips.

    Args:
        network: from images, RGB in [0, 255], [batch, size, size, 3], to logits, [batch, classes]. It
            is trained in place.
        dataset: with images of this size and this number of classes.
        recipe: epochs, batch size, optimizer, learning rate and the rest.
        output_dir: the run folder: a new or empty one, or that of the same run.
        seed: of the order and the augmentation of the images.
        settings: further fields of `bnn_keras.runs.config.RunConfig` for config.json, such as the
            network's `overrides`, or `weights`, which is then recorded in place of the path.
        weights: a checkpoint to start from; a classifier for another number of classes is initialised anew.
        weights_note: the `note` of `bnn_keras.weights.load`.
        checkpoint_steps: steps between checkpoints; there is also one at the end of each epoch.
        log_seconds: between two lines on the progress where there is no terminal, and between two points
            in TensorBoard; 0 for every step.
        sync_batch_norm: whether BatchNorm computes its statistics over the images of all replicas.
        data_service: HOST:PORT of a tf.data service that decodes the training images.
        extra_callbacks: further Keras callbacks.
        make_trainer: makes the model that is compiled and fitted from the network, for another
            `compute_loss` than the cross-entropy with the labels. Its own metrics are recorded too, and
            the variables in its attribute `extra_state`, if it has one, are saved and restored.
        conclusion: ends the sentence on the result: where it is saved, and the command that uses it.
        stop: asked after every step; if it is true, a checkpoint is saved and `KeyboardInterrupt` raised.

    Returns:
        A sentence: the accuracy that was reached, the file, and the command that converts it.

    Raises:
        UserError: a setting that is not valid, a folder of another run, a file that cannot be written,
            or a loss that is not finite.

    Example:
        >>> import bnn_keras, zoo
        >>> from bnn_keras import data
        >>> digits = data.open("digits", train_examples=64)
        >>> network = zoo.build("birealnet18", (32, 32, 3), 10, blocks=(1, 1), channels=(32, 32))
        >>> recipe = bnn_keras.Recipe(epochs=1, batch_size=32, optimizer="adam", learning_rate=0.01)
        >>> sentence = bnn_keras.train(network, digits, recipe, "runs/small")
    """
    _check(network, dataset, recipe, checkpoint_steps)
    convert_value("The seed", SEED, seed)
    convert_value("log_seconds", Number(0), log_seconds)
    if data_service is not None:
        service.check(data_service)
        service.check_images(dataset)
    for key in settings or {}:
        if key not in (known := [field.name for field in dataclasses.fields(RunConfig)]):
            raise one_of("setting of a run", key, known)
    config = RunConfig(
        **{
            "model": network.name,
            "weights": None if weights is None else os.fspath(weights),
            **(settings or {}),
            "dataset": dataset.name,
            "kind": dataset.kind,
            "image_size": dataset.image_size,
            "classes": len(dataset.class_names),
            "normalization": dataset.normalization,
            "recipe": recipe.effective(dataset.kind),
            "seed": seed,
            "checkpoint_steps": checkpoint_steps,
            "replicas": network.distribute_strategy.num_replicas_in_sync,
            "sync_batch_norm": sync_batch_norm,
            "data_service": data_service,
        }
    )
    home = RunFolder(Path(output_dir))
    if weights is not None and not home.begun:
        # Before the folder is claimed: a file that does not fit leaves nothing.
        print(weights_files.load(network, weights, new_head=True, note=weights_note))
    with distribution.place_to_write(network.distribute_strategy, home.path) as place:
        folder = RunFolder(place)
        folder.claim(config)
        if home.is_finished(config):
            sentence = home.finished.read_text(encoding="utf-8").strip()
            print(f"{home.path} is finished:\n{sentence}")
            return sentence
        with folder.locked():
            files.write_text(folder.labels, "".join(f"{name}\n" for name in dataset.class_names))
            print(_header(network, dataset, recipe), flush=True)
            run = Run(
                network,
                dataset,
                recipe,
                seed,
                folder,
                make_trainer or plain_trainer,
                data_service,
                log_seconds,
                sync_batch_norm,
                conclusion or for_conversion,
                stop,
            )
            if not run.resume(home):
                run.begin()
            with dataset.decoding():
                while not run.done:
                    run.train_epoch(checkpoint_steps, extra_callbacks)
            return run.finish()


def _header(network: tf.keras.Model, dataset: Dataset, recipe: Recipe) -> str:
    steps = dataset.steps_per_epoch(recipe.batch_size)
    what = (
        f"{network.name} on {dataset.name}: {dataset.num_train} training and {dataset.num_test} held-out "
        f"images of {dataset.image_size} pixels, {len(dataset.class_names)} classes, {steps} steps an epoch"
    )
    wrapped = textwrap.wrap(
        what, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join([*wrapped, *recipe.lines(dataset.kind, WIDTH)])


def _check(network: tf.keras.Model, dataset: Dataset, recipe: Recipe, checkpoint_steps: int) -> None:
    dataset.steps_per_epoch(recipe.batch_size)
    distribution.check_batch(network.distribute_strategy, recipe.batch_size)
    memory.check_batch(network, recipe.batch_size)
    drop_path.check(network, recipe)
    convert_value("checkpoint_steps", COUNT, checkpoint_steps)
    expected = (dataset.image_size, dataset.image_size, 3), len(dataset.class_names)
    if (network.input_shape[1:], network.output_shape[-1]) != expected:
        raise UserError(
            f"{network.name} takes images of {network.input_shape[1:]} and has {network.output_shape[-1]} "
            f"classes; {dataset.name} has images of {expected[0]} and {expected[1]} classes."
        )
