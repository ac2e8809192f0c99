"""A search of seconds, as a function and as a command that can kill itself.

python tests/search/small_search.py --output_dir=DIR --kill_after=3
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bnn_keras import search, training
from bnn_keras.cli import door
from bnn_keras.cli.flags import PATH, Flag
from bnn_keras.nn import mixed, scaled_sign
from bnn_keras.search import picture
from bnn_keras.settings.kinds import Number
from bnn_keras.settings.recipe import Recipe
from bnn_keras.settings.search import SearchSettings, Space
from tests import small_run

import tensorflow as tf  # isort: skip

K = tf.keras.layers
EDGES = ((0, 2), (1, 2))  # of which one is kept
SPACE = Space(("normal", "reduction"), EDGES, ("none", "max", "conv3"), "none", edges_of_a_node=1)
RECIPE = Recipe(epochs=2, batch_size=8, optimizer="sgd", learning_rate=0.05, momentum=0.9)
# Scores that move much in a few steps.
SETTINGS = SearchSettings(score_learning_rate=0.3, diversity=0.1)
SEED = 5
EXAMPLES = 66  # four steps an epoch

FLAGS = [
    Flag("output_dir", PATH, "run folder"),
    Flag("kill_after", Number(0, whole=True), "steps of this process; 0 for never", 0),
]


def network(space=SPACE, classes=10):
    """A cell of each form, from an image of 32 pixels."""
    image = tf.keras.Input((32, 32, 3), name="image")
    x = K.Rescaling(1 / 127.5, offset=-1)(image)
    x = K.Conv2D(4, 3, strides=8, padding="same", name="stem")(x)
    x = K.BatchNormalization(momentum=0.5, scale=False, center=False, name="stem_bn")(x)
    for form in space.forms:
        weights = mixed.Scores(len(space.edges), len(space.operations), name=f"{form}_scores")(image)
        nodes = [x, K.ReLU(name=f"{form}/relu")(x)]
        for node in space.targets:
            arriving = [
                edge(nodes[source], weights, space, row, f"{form}/edge{row}")
                for row, (source, target) in enumerate(space.edges)
                if target == node
            ]
            nodes.append(K.Add(name=f"{form}/node{node}")(arriving))
        x = nodes[-1]
    x = K.GlobalAveragePooling2D()(x)
    return tf.keras.Model(image, K.Dense(classes, name="head")(x), name="tiny_search")


def edge(x, weights, space, row, name):
    """All operations on an edge, weighted."""
    found = {
        "max": K.MaxPooling2D(3, 1, padding="same", name=f"{name}_max")(x),
        "conv3": scaled_sign.scaled_conv(4, 3, name=f"{name}_conv3")(x),
    }
    columns = [column for column, operation in enumerate(space.operations) if operation in found]
    outputs = [found[space.operations[column]] for column in columns]
    (mixture,) = mixed.Mixture([row], columns, 4, name=name)([weights, *outputs])
    return mixture


@contextlib.contextmanager
def no_picture():
    """Leave out the pictures of cells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture, "draw", lambda *_: b"")
        yield


def run_search(folder, settings=SETTINGS, recipe=RECIPE, dataset=None, space=SPACE, drawn=False, **options):
    """Search in a folder, and return the network; with pictures of the cells if `drawn`, without a report."""
    training.make_deterministic(SEED)
    trained = network(space)
    with small_run.no_report(), contextlib.nullcontext() if drawn else no_picture():
        search.search(
            trained,
            space,
            dataset or small_run.digits(EXAMPLES),
            recipe,
            settings,
            folder,
            seed=SEED,
            **options,
        )
    return trained


def command(folder, kill_after=0):
    """The command as a process that has ended."""
    words = [sys.executable, __file__, f"--output_dir={folder}", f"--kill_after={kill_after}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def run(values, positional):
    left = values.kill_after

    def stop():
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    run_search(values.output_dir, checkpoint_steps=2, stop=stop)


if __name__ == "__main__":
    sys.exit(door.call(sys.modules[__name__], sys.argv[1:]))
