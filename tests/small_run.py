"""A run of seconds, as a function and as a command that can kill itself.

python tests/small_run.py --output_dir=DIR --kill=0:4,0:7      after steps 4 and 7, once each
"""

import contextlib
import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bnn_keras import data, report, training
from bnn_keras.cli import door
from bnn_keras.cli.flags import COUNT, PATH, SWITCH, Flag
from bnn_keras.nn import layers
from bnn_keras.runs import RunFolder
from bnn_keras.settings.kinds import Number, Text, Texts
from bnn_keras.settings.recipe import Recipe
from bnn_keras.training import distribution

import tensorflow as tf  # isort: skip

RECIPE = Recipe(epochs=2, batch_size=16, optimizer="radam", learning_rate=0.01)
SEED = 3

FLAGS = [
    Flag("output_dir", PATH, "run folder"),
    Flag("checkpoint_steps", COUNT, "of the run", training.CHECKPOINT_STEPS),
    Flag("sync_batch_norm", SWITCH, "of the run", False),
    Flag("optimizer", Text("a name"), "of the recipe", RECIPE.optimizer),
    Flag("learning_rate", Number(0), "of the recipe", RECIPE.learning_rate),
    Flag("epochs", COUNT, "of the recipe", RECIPE.epochs),
    Flag("devices", COUNT, "CPUs that are made of this one", 1),
    Flag("kill", Texts("WORKER:STEP"), "each once", ()),
]


def digits(train_examples=64):
    return data.open("digits", train_examples=train_examples)


def network(classes=10, convolution=layers.binary_conv):
    image = tf.keras.Input((32, 32, 3))
    x = tf.keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = tf.keras.layers.Conv2D(16, 3, strides=4, padding="same", name="stem")(x)
    for i in range(2):
        x = tf.keras.layers.BatchNormalization(momentum=0.5, name=f"block{i}/bn")(x)
        x = convolution(32, 3, strides=2, name=f"block{i}/conv")(x)
    x = tf.keras.layers.BatchNormalization(momentum=0.5, name="bn")(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(classes, name="head")(x), name="tiny")


def train(folder, recipe=RECIPE, strategy=None, drawn=False, **options):
    """Train a new network of four steps an epoch, and return it; with a report if `drawn`."""
    training.make_deterministic(SEED)
    with (strategy or tf.distribute.get_strategy()).scope():
        trained = network()
    with contextlib.nullcontext() if drawn else no_report():
        training.train(trained, digits(), recipe, folder, seed=SEED, settings={"model": "tiny"}, **options)
    return trained


class StopAtStart(tf.keras.callbacks.Callback):
    """Ends a run before its first step."""

    def on_train_begin(self, logs=None):
        raise KeyboardInterrupt


def untrained(folder, model, config, class_names=tuple("0123456789")):
    """The folder of a run on digits as a training leaves it, with the weights that a network has."""
    run = RunFolder(Path(folder))
    run.path.mkdir(parents=True)
    run.config.write_text(config.to_json())
    run.labels.write_text("".join(f"{name}\n" for name in class_names))
    for path in (run.best_model, run.last_model):
        model.save(path)
    return run.path


@contextlib.contextmanager
def no_report():
    """Leave out the reports of runs, whose pictures take more time than the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write", lambda *_: None)
        yield


def weights_of(path):
    return tf.keras.models.load_model(path, compile=False).get_weights()


def rows(path, but=()):
    """The rows of a table without some of its columns."""
    with open(path, newline="") as file:
        return [{k: v for k, v in row.items() if k not in but} for row in csv.DictReader(file)]


def start(folder, *options):
    """The command as a process."""
    command = [sys.executable, __file__, f"--output_dir={folder}", *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **streams)


def command(folder, *options):
    """The command as a process that has ended."""
    with start(folder, *options) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


class Kill(tf.keras.callbacks.Callback):
    """Kills its process after steps that are given as WORKER:STEP, each once."""

    def __init__(self, deaths, folder):
        super().__init__()
        self._deaths, self._folder = deaths, folder

    def on_train_batch_end(self, batch, logs=None):
        resolver = self.model.distribute_strategy.cluster_resolver
        worker = resolver.task_id if resolver else 0
        step = int(self.model.optimizer.iterations.numpy())
        mark = Path(f"{self._folder}.killed-{worker}-{step}")
        if f"{worker}:{step}" in self._deaths and not mark.exists():
            mark.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)


def run(values, positional):
    strategy = distribution.strategy_of(None)
    if values.devices > 1:
        parts = [tf.config.LogicalDeviceConfiguration()] * values.devices
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(values.devices)])
    train(
        values.output_dir,
        RECIPE.replace(**{key: values[key].value for key in ("optimizer", "learning_rate", "epochs")}),
        strategy,
        checkpoint_steps=values.checkpoint_steps,
        sync_batch_norm=values.sync_batch_norm,
        extra_callbacks=[Kill(values.kill, values.output_dir)],
    )


if __name__ == "__main__":
    sys.exit(door.call(sys.modules[__name__], sys.argv[1:]))
