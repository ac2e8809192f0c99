"""Use the layers in plain Keras: `model.compile`, `model.fit`, and the conversion at the end.

python examples/plain_fit.py --epochs=5 --output=plain.tflite
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import bnn_keras  # first: it makes tf.keras Keras 2, which Larq needs
from bnn_keras import deploy
from bnn_keras.nn import layers

import tensorflow as tf  # isort: skip


def main() -> None:
    """Fit a small network on scikit-learn's digits, and write it as a checked .tflite file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("plain.tflite"))
    arguments = parser.parse_args()

    pixels, labels = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 8, 8, 1).astype(np.float32) / 8 - 1
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 1)),
            tf.keras.layers.Conv2D(32, 3, padding="same", use_bias=False),
            tf.keras.layers.BatchNormalization(),
            layers.binary_conv(64, 3, name="binary1"),  # the signs of its input and of its kernel
            tf.keras.layers.BatchNormalization(),
            layers.binary_conv(64, 3, strides=2, name="binary2"),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(10),
        ],
        name="plain",
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    held_out = images[1400:], labels[1400:]
    model.fit(images[:1400], labels[:1400], 64, arguments.epochs, validation_data=held_out)

    flatbuffer, report = bnn_keras.convert(model, held_out[0][:100])
    print("\n".join(deploy.lines(report)))
    arguments.output.write_bytes(flatbuffer)
    print(f"wrote {arguments.output}: {len(flatbuffer):,} bytes")


if __name__ == "__main__":
    main()
