"""A training run, epoch by epoch: its state, its checkpoints, its tables and its models."""

import functools
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from bnn_keras import files, report, status
from bnn_keras.data import Dataset, service
from bnn_keras.nn import quantizers
from bnn_keras.runs.folder import RunFolder
from bnn_keras.runs.table import FLIP_COLUMNS, Table
from bnn_keras.settings.recipe import Recipe
from bnn_keras.training import callbacks, distribution, drop_path, flips, objective
from bnn_keras.training.averages import Averages, MeasureAverages
from bnn_keras.training.checkpoints import Checkpoints, remove_partial, tensorflow_errors
from bnn_keras.training.progress import Progress
from bnn_keras.training.student import student_of, take_weights
from bnn_keras.training.trainer import check_parts, compiled


class _Position(tf.Module):
    """How far a run is, and its best result so far.

    Args:
        progressive: number of progressive quantizers.
    """

    def __init__(self, progressive: int) -> None:
        super().__init__()
        self.epoch = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.step = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.seconds = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self.best_epoch = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.best_accuracy = tf.Variable(-1.0, trainable=False, dtype=tf.float64)
        # Of each progressive quantizer at the beginning of the run.
        self.temperatures = tf.Variable(tf.ones(progressive), trainable=False)


def for_conversion(folder: RunFolder) -> str:
    """How the sentence on a training ends."""
    return f"saved in {folder.best_model};\nto convert it: bnn convert {shlex.quote(str(folder.path))}"


class Run:
    """The state of a training run.

    Args:
        network: that is trained and saved, with its initial weights.
        dataset, recipe, seed: what it is trained on, and how.
        folder: that this process writes to.
        make_trainer: from the network to the model that is compiled and fitted.
        data_service: HOST:PORT of the tf.data service that decodes the training images.
        log_seconds: between two lines on the progress, and between two points in TensorBoard.
        sync_batch_norm: whether BatchNorm computes its statistics over the images of all replicas.
        conclusion: ends the sentence on the result: where it is saved, and the command that uses it.
        stop: asked after every step; if it is true, a checkpoint is saved and `KeyboardInterrupt` raised.
    """

    def __init__(
        self,
        network: tf.keras.Model,
        dataset: Dataset,
        recipe: Recipe,
        seed: int,
        folder: RunFolder,
        make_trainer: Callable[[tf.keras.Model], tf.keras.Model],
        data_service: str | None = None,
        log_seconds: float = status.LOG_SECONDS,
        sync_batch_norm: bool = False,
        conclusion: Callable[[RunFolder], str] = for_conversion,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.network, self.dataset, self.recipe, self.seed = network, dataset, recipe, seed
        self.folder, self.data_service, self._stop = folder, data_service, stop
        self._conclusion = conclusion
        self.steps = dataset.steps_per_epoch(recipe.batch_size)
        self.strategy = network.distribute_strategy
        self.student = student_of(network, recipe)
        if sync_batch_norm:
            distribution.synchronize_batch_norm(self.student)
        with self.strategy.scope():
            self.trainer = compiled(make_trainer(self.student), recipe, self.steps)
        drop_path.start(self.student, recipe, self.steps, seed, self.trainer.optimizer.iterations)
        check_parts(self.trainer, recipe.accumulate, recipe.batch_size, self.strategy.num_replicas_in_sync)
        # Keras creates the metrics' variables with the first batch; a checkpoint needs them before.
        limit = self.strategy.num_replicas_in_sync
        with status.doing("building the graph of the evaluation"):
            held_out = self.trainer.evaluate(self._held_out(limit), steps=1, verbose=0, return_dict=True)
        # A frozen kernel stays as it is.
        self.progressive = [] if recipe.freeze else quantizers.progressive(self.student)
        self.position = _Position(len(self.progressive))
        self.flips = flips.FlipCounter(self.student, self.steps)
        self.averages = Averages(self.student, recipe.ema_decay)
        self.checkpoints = Checkpoints(
            folder.checkpoints,
            network=self.student,
            optimizer=self.trainer.optimizer,
            metrics=list(self.trainer.metrics),
            flips=self.flips.variables,
            position=self.position,
            extra=[*getattr(self.trainer, "extra_state", []), *self.averages.variables],
        )
        columns = ["epoch", *self.settings(), *(m.name for m in self.trainer.metrics)]
        columns += [f"val_{name}" for name in held_out] + ["seconds"]
        self.history = Table(folder.history, columns)
        self.flip_table = Table(folder.flips, FLIP_COLUMNS)
        self.events = report.Events(folder)
        self.progress = Progress(
            recipe.all_epochs,
            self.steps,
            recipe.batch_size,
            first_step=lambda: self.step,
            settings=self.settings,
            interval=log_seconds,
            record=self._record,
        )

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return int(self.position.epoch)

    @property
    def step(self) -> int:
        """Number of completed steps in the current epoch."""
        return int(self.position.step)

    @property
    def done(self) -> bool:
        """Whether all epochs are completed, or the training stops early."""
        return self.epoch == self.recipe.all_epochs or self.stops_early

    @property
    def stops_early(self) -> bool:
        """Whether the best epoch lies the recipe's `patience` back, or more."""
        patience = self.recipe.patience
        return patience is not None and self.epoch - int(self.position.best_epoch) >= patience

    def settings(self) -> dict[str, float]:
        """The present values of what the recipe changes during training."""
        settings = {"learning_rate": float(self.trainer.optimizer.learning_rate.numpy())}
        if self.progressive:
            settings["temperature"] = max(self._temperatures())
        return settings

    def begin(self) -> None:
        """Record the state of the initial weights; for a run that is not resumed."""
        self.averages.reset()
        self.position.temperatures.assign(self._temperatures())

    def _temperatures(self) -> list[float]:
        return [float(quantizer.temperature.numpy()) for quantizer in self.progressive]

    def resume(self, folder: RunFolder) -> bool:
        """Restore the newest checkpoint of a run folder, and whether there is one.

        Raises:
            UserError: it cannot be read.
        """
        remove_partial(self.folder.checkpoints)
        resumed = self.checkpoints.restore(folder.checkpoints)
        if resumed:
            where = f"at epoch {self.epoch + 1}, step {self.step}"
            if self.done:
                where = f"after epoch {self.epoch}, the last"
            print(f"resuming {where} (global step {int(self.trainer.optimizer.iterations.numpy())})")
        for table in (self.history, self.flip_table):
            table.cut(self.epoch)
        with tensorflow_errors(f"Cannot read {self.folder.tensorboard}"):
            self.events.cut(self._global_step(self.step))
        return resumed

    def _global_step(self, step: int) -> int:
        """The number of steps since the beginning of the run, for a number of steps in this epoch."""
        return self.epoch * self.steps + step

    def _record(self, step: int, means: Mapping[str, float]) -> None:
        """Write means over the latest steps for TensorBoard."""
        with tensorflow_errors(f"Cannot write {self.folder.tensorboard}"):
            scalars = {f"step/{name}": value for name, value in means.items()}
            self.events.write(report.TRAINING, self._global_step(step), scalars)

    def train_epoch(self, checkpoint_steps: int, extra_callbacks: Sequence) -> None:
        """Train from the present position to the end of its epoch, validate, and write the results.

        Args:
            checkpoint_steps: steps between two checkpoints.
            extra_callbacks: Keras callbacks, called after ours.
        """
        started = time.monotonic() - float(self.position.seconds)
        results = self.trainer.fit(
            self._rest_of_epoch(),
            steps_per_epoch=self.steps - self.step,
            validation_data=self._all_held_out,
            validation_steps=self._held_out_steps,
            initial_epoch=self.epoch,
            epochs=self.epoch + 1,
            verbose=0,
            callbacks=[*self._callbacks(started, checkpoint_steps), *extra_callbacks],
        )
        last = {name: values[-1] for name, values in results.history.items()}
        self._complete_epoch(last, time.monotonic() - started)
        if self._stop() and not self.done:
            raise KeyboardInterrupt

    def _callbacks(self, started: float, checkpoint_steps: int) -> list[tf.keras.callbacks.Callback]:
        metrics = []
        if self.step:
            metrics = [callbacks.StartMetrics([m.get_weights() for m in self.trainer.metrics])]
        else:
            self.flips.reset()

        def after_batch() -> None:
            self.flips.update()
            if self.averages.variables:
                self.averages.update(self.trainer.optimizer.iterations.value())
            self.position.step.assign_add(1)
            self.position.seconds.assign(time.monotonic() - started)
            if self.step == self.steps:
                return  # the epoch is completed and saved first
            stop = self._stop()
            if stop or self.step % checkpoint_steps == 0:
                self.save()
            if stop:
                raise KeyboardInterrupt

        # Without a decay the temperature stays constant.
        decay = self.recipe.temperature_decay or 1.0
        return [
            *metrics,
            callbacks.StopAtNaN(),
            callbacks.EveryBatch(after_batch),
            MeasureAverages(self.averages),
            callbacks.Temperature(self.progressive, self.position.temperatures, decay),
            self.progress,
        ]

    def _rest_of_epoch(self) -> tf.data.Dataset:
        smoothing, classes = self.recipe.label_smoothing, len(self.dataset.class_names)
        size, epoch, step = self.recipe.batch_size, self.epoch, self.step

        def smooth(labels: tf.Tensor) -> tf.Tensor:
            return objective.smooth(labels, classes, smoothing)

        def read(part: tuple[int, int]) -> tf.data.Dataset:
            batches = self.dataset.train(size, epoch, self.seed, skip_batches=step, part=part)
            if not smoothing:
                return batches
            return batches.map(lambda images, labels: (images, tf.nest.map_structure(smooth, labels)))

        if self.data_service is None:
            return distribution.share_out(self.strategy, read)
        decoded = functools.partial(service.decoded_by, self.data_service, read, batch_size=size)
        return distribution.share_out(self.strategy, decoded)

    def _held_out(self, limit: int | None = None) -> tf.data.Dataset:
        def read(part: tuple[int, int]) -> tf.data.Dataset:
            return self.dataset.test(self.recipe.batch_size, limit, part)

        return distribution.share_out(self.strategy, read)

    @functools.cached_property
    def _all_held_out(self) -> tf.data.Dataset:
        """The same in every epoch, so that its functions are traced once."""
        return self._held_out()

    @functools.cached_property
    def _held_out_steps(self) -> int:
        part = 0, self.strategy.num_replicas_in_sync
        return int(self.dataset.test(self.recipe.batch_size, part=part).cardinality())

    def _complete_epoch(self, results: dict, seconds: float) -> None:
        self._check_weights()
        epoch = self.epoch + 1
        results = {**self.settings(), **results}
        self.history.append([{"epoch": epoch, **results, "seconds": round(seconds, 2)}])
        counts = self.flips.counts()
        self.flip_table.append(flips.rows(epoch, counts))
        with tensorflow_errors(f"Cannot write {self.folder.tensorboard}"):
            self.events.write_epoch(self._global_step(self.steps), results, counts)
        if results["val_accuracy"] > float(self.position.best_accuracy):
            self.position.best_accuracy.assign(results["val_accuracy"])
            self.position.best_epoch.assign(epoch)
            with self.averages.applied():
                take_weights(self.network, self.student)
                save_model(self.network, self.folder.best_model)
        self.position.epoch.assign(epoch)
        self.position.step.assign(0)
        self.position.seconds.assign(0)
        # Last: a run that is killed before this repeats the epoch and writes the same files again.
        self.save()

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            UserError: a weight is not finite, or the checkpoint cannot be written.
        """
        self._check_weights()
        self.checkpoints.save()

    def _check_weights(self) -> None:
        """Raise UserError for weights that are not finite: gradients may be so before the loss is."""
        for weight in self.student.weights:
            if weight.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(weight))):
                raise callbacks.not_a_number(f"{weight.name} is no longer finite", self.trainer.optimizer)

    def finish(self) -> str:
        """Write the last model, the report, and the mark of a finished run; return what was reached."""
        self.events.close()
        self.averages.apply()
        take_weights(self.network, self.student)
        save_model(self.network, self.folder.last_model)
        early = f"stopped after epoch {self.epoch} of {self.recipe.all_epochs}; " if self.stops_early else ""
        sentence = (
            f"{early}reached {100 * float(self.position.best_accuracy):.2f} % on the held-out images "
            f"in epoch {int(self.position.best_epoch)}, {self._conclusion(self.folder)}"
        )
        with status.doing("writing the report"):
            report.write(self.folder, sentence, self.dataset)
        files.write_text(self.folder.finished, f"{sentence}\n")
        print(sentence)
        return sentence


def save_model(network: tf.keras.Model, path: Path) -> None:
    """Write a .keras file, whole or not at all."""
    with files.replacing(path) as temporary:
        network.save(temporary)
