"""Train a network of your own by a recipe, and convert it to a checked .tflite file.

python examples/own_model.py --epochs=12 --output_dir=runs/own

The data are scikit-learn's digits. The run folder gets the checkpoints, the trained network and a report;
the same command resumes a run that was stopped.
"""

import argparse
from pathlib import Path

import bnn_keras  # first: it makes tf.keras Keras 2, which Larq needs
from bnn_keras import data, deploy, training
from bnn_keras.nn import layers, normalization

import tensorflow as tf  # isort: skip


def build_network(classes: int, widths: tuple[int, ...] = (32, 64, 128)) -> tf.keras.Model:
    """A float stem and binary 3x3 convolutions, each with a shortcut around it."""
    image = tf.keras.Input((32, 32, 3), name="image")  # RGB in [0, 255]
    x = layers.Normalize(*normalization.constants("digits"), name="normalization")(image)
    x = tf.keras.layers.Conv2D(widths[0], 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = tf.keras.layers.BatchNormalization(name="stem_bn")(x)
    for i, width in enumerate(widths):
        if x.shape[-1] != width:
            x = tf.keras.layers.AveragePooling2D(name=f"block{i}_pool")(x)
            x = tf.keras.layers.Concatenate(name=f"block{i}_widen")([x, x])
        y = layers.binary_conv(width, 3, name=f"block{i}_conv")(x)
        y = tf.keras.layers.BatchNormalization(name=f"block{i}_bn")(y)
        x = tf.keras.layers.Add(name=f"block{i}")([x, y])
    x = tf.keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(classes, name="head")(x), name="own_model")


def main() -> None:
    """Train, convert, and write own_model.tflite into the run folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--train_examples", type=int, help="train on no more than so many images")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/own"))
    arguments = parser.parse_args()

    digits = data.open("digits", train_examples=arguments.train_examples)
    recipe = bnn_keras.Recipe(epochs=arguments.epochs, batch_size=32, optimizer="radam", learning_rate=0.01)
    training.make_deterministic(seed=0)
    network = build_network(len(digits.class_names))
    bnn_keras.train(network, digits, recipe, arguments.output_dir)

    trained = bnn_keras.load(arguments.output_dir)  # the weights with the best held-out accuracy
    print(f"held-out accuracy: {bnn_keras.evaluate(trained).top1:.4f}")
    images, labels = next(digits.test(100).as_numpy_iterator())
    flatbuffer, report = bnn_keras.convert(trained.keras_model, images, labels)
    print("\n".join(deploy.lines(report)))
    file = arguments.output_dir / "own_model.tflite"
    file.write_bytes(flatbuffer)
    print(f"wrote {file}: {len(flatbuffer):,} bytes")


if __name__ == "__main__":
    main()
