"""The real files that the cases change: made once, by the library itself."""

import contextlib
import io
import os
import shutil
from pathlib import Path

RUN = Path(__file__).parents[1] / "fixtures" / "finished"
RECIPE = """\
epochs = 2
batch_size = 4
optimizer = "adam"
learning_rate = 0.01
milestones = [1, 2]
crop_area = [0.5, 1.0]
rand_augment = "rand-m7-n2"
"""


def make(folder: Path) -> None:
    """Write tiny.keras, tiny.weights.h5, one.*, tiny.tflite, tiny.json, run/, images/ and recipe.toml."""
    import tensorflow as tf

    from bnn_keras import cli, nn

    os.chdir(folder)
    image = tf.keras.Input((8, 8, 3), name="image")
    x = tf.keras.layers.BatchNormalization()(image)
    x = tf.keras.layers.BatchNormalization()(nn.layers.binary_conv(8, 3, name="conv")(x))
    x = tf.keras.layers.Activation("relu")(tf.concat([x, x], -1))
    x = tf.keras.layers.Dense(2, kernel_regularizer="l2")(tf.keras.layers.GlobalAveragePooling2D()(x))
    tiny = tf.keras.Model(image, x, name="tiny")
    tiny.save("tiny.keras")
    tiny.save_weights("tiny.weights.h5")
    vector = tf.keras.Input((4,))
    one = tf.keras.Model(vector, tf.keras.layers.Dense(2, name="dense")(vector), name="one")
    one.save_weights("one.weights.h5")
    one.save_weights("one.h5")
    _pytorch()
    _images()
    Path("recipe.toml").write_text(RECIPE)
    shutil.copytree(RUN, "run")
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.run(["convert", "tiny.keras", "--dataset=samples", "--images=2"]) == 0


def _pytorch() -> None:
    with contextlib.suppress(ImportError):
        import torch

        state = {"feature.0.conv1.weight": torch.ones(4, 3), "fc.weight": torch.ones(2, 4)}
        torch.save({"state_dict": state, "epoch": 3}, "one.pth")
        torch.save(state, "old.pth", _use_new_zipfile_serialization=False)


def _images() -> None:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        os.makedirs(f"images/{name}")
        for i in range(3):
            pixels = random.integers(0, 256, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(f"images/{name}/{i}.{('png', 'jpg', 'bmp')[i]}")
