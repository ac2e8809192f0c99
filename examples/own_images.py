"""Train a network of the zoo on your own images, and convert it to a file for a phone.

python examples/own_images.py PICTURES --model=meliusneta --image_size=224 --epochs=60

PICTURES is a folder with one subfolder for each class, named as the class. Without it the script makes such
a folder of scikit-learn's digits, to show what it looks like.
"""

import argparse
from pathlib import Path

import bnn_keras  # first: it makes tf.keras Keras 2, which Larq needs
import zoo
from bnn_keras import data, deploy, training

import tensorflow as tf  # isort: skip

SMALL = {"blocks": (1, 1, 1, 1), "channels": (32, 32, 32)}  # settings of a MeliusNet


def write_digits(folder: Path, count: int) -> Path:
    """Write some of scikit-learn's digits as images, one subfolder for each class."""
    digits = data.open("digits")
    for i, (image, label) in enumerate(digits.test(1, count).unbatch().as_numpy_iterator()):
        file = folder / digits.class_names[label] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tf.io.encode_png(image.round().astype("uint8")).numpy())
    return folder


def main() -> None:
    """Train, convert, and write MODEL.tflite and labels.txt into the run folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="?", help="one subfolder for each class")
    parser.add_argument("--model", default="meliusneta", help="one of: " + ", ".join(zoo.list_models()))
    parser.add_argument("--small", action="store_true", help="a MeliusNet of four blocks, for a first try")
    parser.add_argument("--image_size", type=int, default=32, help="edge in pixels; 224 for photographs")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--count", type=int, default=300, help="digits to write if PICTURES is not given")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/own_images"))
    arguments = parser.parse_args()

    made = arguments.output_dir.with_name(f"{arguments.output_dir.name}_pictures")
    pictures = arguments.pictures or write_digits(made, arguments.count)
    images = data.open(f"folder:{pictures}", image_size=arguments.image_size)
    recipe = zoo.recipe(arguments.model, images.name, images.kind)
    recipe = recipe.override(epochs=arguments.epochs, batch_size=arguments.batch_size)
    training.make_deterministic(seed=0)
    shape = (arguments.image_size, arguments.image_size, 3)
    network = zoo.build(arguments.model, shape, len(images.class_names), **(SMALL if arguments.small else {}))
    bnn_keras.train(network, images, recipe, arguments.output_dir)

    trained = bnn_keras.load(arguments.output_dir)
    held_out, labels = next(images.test(50).as_numpy_iterator())
    flatbuffer, report = bnn_keras.convert(trained.keras_model, held_out, labels)
    print("\n".join(deploy.lines(report)))
    file = arguments.output_dir / f"{arguments.model}.tflite"
    file.write_bytes(flatbuffer)
    print(f"wrote {file}: {len(flatbuffer) / 2**20:.2f} MiB; the classes are the lines of labels.txt")


if __name__ == "__main__":
    main()
