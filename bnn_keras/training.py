"""Training a network by a recipe, in a run folder that it can be resumed from."""

import contextlib
import dataclasses
import os
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from bnn_keras import callbacks, files, flips, objective, optimizers, quantizers, report, schedules
from bnn_keras import weights as weights_files
from bnn_keras.data import Dataset
from bnn_keras.errors import UserError
from bnn_keras.recipe import Recipe
from bnn_keras.run_folder import RunFolder, Table

CHECKPOINT_STEPS = 500
KEEP_CHECKPOINTS = 2
WIDTH = 110  # of printed lines


def make_deterministic(seed: int) -> None:
    """Make what follows, the initial weights first of all, a function of the seed.

    Raises:
        UserError: a seed outside of 0 to 2**32 - 1.
    """
    if not 0 <= seed < 2**32:
        raise UserError(f"The seed must be from 0 to {2**32 - 1}. Received: {seed}.")
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
    checkpoint_steps: int = CHECKPOINT_STEPS,
    extra_callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    make_trainer: Callable[[tf.keras.Model], tf.keras.Model] | None = None,
) -> str:
    """Train, or resume the training that was begun in `output_dir`.

    The same seed, machine and versions give the same weights, in one go or resumed, if
    `make_deterministic` was called before the network was built.

    Args:
        network: from images, RGB in [0, 255], to logits; it holds the last weights afterwards.
        dataset: of as many classes.
        recipe: epochs, batch size, optimizer, learning rate.
        output_dir: the run folder, new, empty, or of the same run.
        seed: of the order and the augmentation of the images.
        settings: what else made the network, written to config.json.
        weights: a checkpoint to start from; a classifier of other classes starts anew.
        checkpoint_steps: iterations between checkpoints; each epoch ends with one too.
        extra_callbacks: Keras callbacks of the caller's own.
        make_trainer: from the network to the model that is compiled and fitted, for another
            `compute_loss` than the cross-entropy with the labels. Its own metrics are recorded like
            ours; variables in its attribute `extra_state`, if it has one, are saved and resumed.

    Returns:
        A sentence: what was reached, where it lies, how it is converted.

    Raises:
        UserError: a setting that cannot be, a folder of another run, a disk that takes no more, a
            loss that is no longer a number.
    """
    _check(network, dataset, recipe, checkpoint_steps)
    folder = RunFolder(Path(output_dir))
    folder.claim(
        {
            **(settings or {}),
            "dataset": dataset.name,
            "kind": dataset.kind,
            "image_size": dataset.image_size,
            "classes": len(dataset.class_names),
            "normalization": dataset.normalization,
            "recipe": dataclasses.asdict(recipe),
            "seed": seed,
            "weights": None if weights is None else os.fspath(weights),
            "checkpoint_steps": checkpoint_steps,
        }
    )
    if folder.finished.is_file():
        sentence = folder.finished.read_text(encoding="utf-8").strip()
        print(f"{folder.path} is finished: {sentence}")
        return sentence
    files.write_text(folder.labels, "".join(f"{name}\n" for name in dataset.class_names))
    print(_header(network, dataset, recipe))
    run = _Run(network, dataset, recipe, folder, seed, make_trainer or _plain_trainer)
    if not run.resume():
        if weights is not None:
            print(weights_files.load(network, weights, new_head=True))
        run.begin()
    while not run.done:
        run.train_epoch(checkpoint_steps, extra_callbacks)
    return run.finish()


class _Position(tf.Module):
    """Where a run is, and the best that it has met."""

    def __init__(self, progressive: int):
        super().__init__()
        self.epoch = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.step = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.seconds = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self.best_epoch = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.best_accuracy = tf.Variable(-1.0, trainable=False, dtype=tf.float64)
        # Of each progressive quantizer, at the beginning of the run.
        self.temperatures = tf.Variable(tf.ones(progressive), trainable=False)


class _Run:
    """The state of a run, from epoch to epoch."""

    def __init__(
        self,
        network: tf.keras.Model,
        dataset: Dataset,
        recipe: Recipe,
        folder: RunFolder,
        seed: int,
        make_trainer: Callable[[tf.keras.Model], tf.keras.Model],
    ):
        self.network, self.dataset, self.recipe, self.folder, self.seed = (
            network,
            dataset,
            recipe,
            folder,
            seed,
        )
        self.steps = dataset.steps_per_epoch(recipe.batch_size)
        self.trainer = _compiled(make_trainer(network), recipe, self.steps)
        # Keras makes the metrics' variables with the first batch, and a checkpoint needs them before.
        self.trainer.evaluate(dataset.test(recipe.batch_size, limit=1), verbose=0)
        self.progressive = quantizers.progressive(network)
        self.position = _Position(len(self.progressive))
        self.flips = flips.FlipCounter(network, self.steps)
        self.checkpoints = tf.train.CheckpointManager(
            tf.train.Checkpoint(
                network=network,
                optimizer=self.trainer.optimizer,
                metrics=list(self.trainer.metrics),
                flips=self.flips.variables,
                position=self.position,
                extra=getattr(self.trainer, "extra_state", []),
            ),
            str(folder.checkpoints),
            max_to_keep=KEEP_CHECKPOINTS,
        )
        columns = ["epoch", *self.settings(), *(m.name for m in self.trainer.metrics)]
        columns += [f"val_{m.name}" for m in self.trainer.metrics] + ["seconds"]
        self.history = Table(folder.history, columns)
        self.flip_table = Table(folder.flips, flips.COLUMNS)

    @property
    def epoch(self) -> int:
        """Completed epochs."""
        return int(self.position.epoch)

    @property
    def step(self) -> int:
        """Completed steps of the epoch that is not."""
        return int(self.position.step)

    @property
    def done(self) -> bool:
        return self.epoch == self.recipe.all_epochs

    def settings(self) -> dict[str, float]:
        """What the recipe changes from step to step or epoch to epoch, as it is now."""
        settings = {"learning_rate": float(self.trainer.optimizer.learning_rate)}
        if self.progressive:
            settings["temperature"] = max(float(quantizer.temperature) for quantizer in self.progressive)
        return settings

    def begin(self) -> None:
        """Note what the weights of a new run begin with."""
        self.position.temperatures.assign([quantizer.temperature for quantizer in self.progressive])

    def resume(self) -> bool:
        """Go back to the newest checkpoint, if there is one."""
        latest = self.checkpoints.latest_checkpoint
        if latest is not None:
            # A truncated one is an IndexError of TensorFlow's reader.
            with _checkpoint_errors(f"Cannot read checkpoint {latest}", IndexError):
                self.checkpoints.checkpoint.restore(latest).assert_consumed()
            print(
                f"resuming at epoch {self.epoch + 1}, step {self.step} "
                f"(global step {int(self.trainer.optimizer.iterations)})"
            )
        for table in (self.history, self.flip_table):
            table.cut(self.epoch)
        return latest is not None

    def train_epoch(self, checkpoint_steps: int, extra_callbacks: Sequence) -> None:
        """Train from the position to the end of its epoch, validate, and write it all down."""
        started, seconds, metrics = time.monotonic(), float(self.position.seconds), []
        if self.step:
            metrics = [callbacks.StartMetrics([m.get_weights() for m in self.trainer.metrics])]
        else:
            self.flips.reset()

        def after_batch():
            self.flips.update()
            self.position.step.assign_add(1)
            self.position.seconds.assign(seconds + time.monotonic() - started)
            if self.step % checkpoint_steps == 0 and self.step < self.steps:
                self.save()

        # Without a decay the temperature stays what it is.
        decay = getattr(self.recipe, "temperature_decay", None) or 1.0
        fitted = self.trainer.fit(
            self._rest_of_epoch(),
            validation_data=self.dataset.test(self.recipe.batch_size),
            initial_epoch=self.epoch,
            epochs=self.epoch + 1,
            verbose=0,
            callbacks=[
                *metrics,
                callbacks.StopAtNaN(),
                callbacks.EveryBatch(after_batch),
                callbacks.Temperature(self.progressive, self.position.temperatures, decay),
                callbacks.ProgressBar(self.recipe.all_epochs, self.steps, self.step, self.settings),
                *extra_callbacks,
            ],
        )
        self._complete_epoch(
            {name: values[-1] for name, values in fitted.history.items()},
            seconds + time.monotonic() - started,
        )

    def _rest_of_epoch(self) -> tf.data.Dataset:
        batches = self.dataset.train(self.recipe.batch_size, self.epoch, self.seed, skip_batches=self.step)
        smoothing = getattr(self.recipe, "label_smoothing", 0.0)
        if not smoothing:
            return batches
        classes = len(self.dataset.class_names)
        return batches.map(lambda images, labels: (images, objective.smooth(labels, classes, smoothing)))

    def _complete_epoch(self, results: dict, seconds: float) -> None:
        epoch = self.epoch + 1
        results = {**self.settings(), **results}
        self.history.append([{"epoch": epoch, **results, "seconds": round(seconds, 2)}])
        flip_rows = self.flips.rows(epoch)
        self.flip_table.append(flip_rows)
        report.write_scalars(self.folder, epoch, results | flips.scalars(flip_rows))
        if results["val_accuracy"] > float(self.position.best_accuracy):
            self.position.best_accuracy.assign(results["val_accuracy"])
            self.position.best_epoch.assign(epoch)
            save_model(self.network, self.folder.best_model)
        self.position.epoch.assign(epoch)
        self.position.step.assign(0)
        self.position.seconds.assign(0)
        # Last: killed before it, the run repeats the epoch and writes the same files again.
        self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        with _checkpoint_errors(f"Cannot write a checkpoint to {self.folder.checkpoints}"):
            self.checkpoints.save()

    def finish(self) -> str:
        """Write the last model, the report, and the mark."""
        save_model(self.network, self.folder.last_model)
        sentence = (
            f"reached {100 * float(self.position.best_accuracy):.2f} % on the held-out images in epoch "
            f"{int(self.position.best_epoch)}, saved in {self.folder.best_model}; "
            f"to convert it: python convert.py {self.folder.path}"
        )
        report.write(self.folder, sentence)
        files.write_text(self.folder.finished, f"{sentence}\n")
        print(sentence)
        return sentence


def _header(network: tf.keras.Model, dataset: Dataset, recipe: Recipe) -> str:
    steps = dataset.steps_per_epoch(recipe.batch_size)
    settings = ", ".join(f"{key}={value}" for key, value in dataclasses.asdict(recipe).items())
    return (
        f"{network.name} on {dataset.name}: {dataset.num_train} training and {dataset.num_test} held-out "
        f"images of {dataset.image_size} pixels, {len(dataset.class_names)} classes, {steps} steps an epoch\n"
        + textwrap.fill(f"recipe: {settings}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    )


def save_model(network: tf.keras.Model, path: Path) -> None:
    """Write a .keras file, whole or not at all."""
    with files.replacing(path) as temporary:
        network.save(temporary)


def _plain_trainer(network: tf.keras.Model) -> tf.keras.Model:
    """A twin: what is compiled is saved with its optimizer, and the network should not be."""
    return tf.keras.Model(network.inputs, network.outputs)


def _compiled(trainer: tf.keras.Model, recipe: Recipe, steps: int) -> tf.keras.Model:
    optimizer = optimizers.get(recipe.optimizer, schedules.of(recipe, steps))
    # Otherwise its variables come with the first step, which then is traced twice.
    optimizer.build(trainer.trainable_variables)
    trainer.compile(optimizer, objective.CrossEntropy(), objective.metrics(trainer.output_shape[-1]))
    return trainer


def _check(network: tf.keras.Model, dataset: Dataset, recipe: Recipe, checkpoint_steps: int) -> None:
    recipe.check()
    optimizers.check(recipe.optimizer)
    dataset.steps_per_epoch(recipe.batch_size)
    if checkpoint_steps < 1:
        raise UserError(f"checkpoint_steps must be at least 1. Received: {checkpoint_steps}.")
    expected = (dataset.image_size, dataset.image_size, 3), len(dataset.class_names)
    if (network.input_shape[1:], network.output_shape[-1]) != expected:
        raise UserError(
            f"{network.name} takes images of {network.input_shape[1:]} and has {network.output_shape[-1]} "
            f"classes; {dataset.name} has images of {expected[0]} and {expected[1]} classes."
        )


@contextlib.contextmanager
def _checkpoint_errors(what: str, *more: type[Exception]) -> Iterator[None]:
    """TensorFlow writes checkpoints itself, and has errors of its own for a disk's."""
    try:
        yield
    except (tf.errors.OpError, *more) as error:
        raise UserError(f"{what}: {str(error).splitlines()[0]}.") from error
