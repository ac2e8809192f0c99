"""Draw how large the gradients of convolutions are, with and without the shortcuts from cell to cell.

python examples/shortcut_gradients.py --epochs=4 --output=gradients.png

As in Figure 5 of BNAS's supplement: networks of the same cells are trained in the same way, and after each
epoch the magnitudes of the gradients of every kernel are summed, for one batch. Without the shortcuts the
supplement finds spikes.
"""

import argparse
from pathlib import Path

import numpy as np

import bnn_keras  # noqa: F401  first: it makes tf.keras Keras 2, which Larq needs
import zoo
from bnn_keras import data, training
from bnn_keras.report import charts
from bnn_keras.report.charts import Chart, Line
from bnn_keras.training import objective, optimizers

import tensorflow as tf  # isort: skip

BATCH_SIZE = 64


def gradient_sums(network: tf.keras.Model, images: tf.Tensor, labels: tf.Tensor) -> np.ndarray:
    """The sum of the magnitudes of the gradients of each convolution, in the order of the network."""
    kernels = [layer.kernel for layer in network.layers if isinstance(layer, tf.keras.layers.Conv2D)]
    with tf.GradientTape() as tape:
        loss = objective.CrossEntropy()(labels, network(images, training=True))
    return np.array([float(tf.reduce_sum(tf.abs(gradient))) for gradient in tape.gradient(loss, kernels)])


def measure(no_skip: bool, digits: data.Dataset, arguments: argparse.Namespace) -> list[np.ndarray]:
    """The sums after each epoch of a training, from the beginning on."""
    training.make_deterministic(arguments.seed)
    network = zoo.build(
        "bnas_a",
        (digits.image_size, digits.image_size, 3),
        len(digits.class_names),
        cells=arguments.cells,
        channels=arguments.channels,
        no_skip=no_skip,
    )
    recipe = zoo.recipe("bnas_a", "cifar10").override(epochs=arguments.epochs, batch_size=BATCH_SIZE)
    steps = digits.steps_per_epoch(BATCH_SIZE)
    network.compile(optimizers.optimizer_of(recipe, steps), objective.CrossEntropy(), objective.metrics(10))
    batch = next(iter(digits.train(BATCH_SIZE, epoch=0, seed=arguments.seed)))
    found = [gradient_sums(network, *batch)]
    for epoch in range(arguments.epochs):
        fitted = network.fit(digits.train(BATCH_SIZE, epoch, arguments.seed), verbose=0)
        found.append(gradient_sums(network, *batch))
        name = "without shortcuts" if no_skip else "with shortcuts"
        print(
            f"{name}, epoch {epoch + 1}: training accuracy {fitted.history['accuracy'][-1]:.4f}", flush=True
        )
    return found


def spikiness(sums: np.ndarray) -> float:
    """The mean change from one convolution to the next, as a share of their mean."""
    return float(np.abs(np.diff(sums)).mean() / sums.mean())


def chart(title: str, found: list[np.ndarray]) -> Chart:
    """The sums of each epoch along the convolutions of the network."""
    last = max(len(found) - 1, 1)
    lines = [
        Line(f"after {epoch} epochs", np.arange(1, len(sums) + 1), sums, shade=epoch / last)
        for epoch, sums in enumerate(found)
    ]
    return Chart(title, lines, x_label="convolution", y_label="sum of gradient magnitudes")


def main() -> None:
    """Train both networks, draw, and print how much neighbouring convolutions differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=20, help="of the networks")
    parser.add_argument("--channels", type=int, default=8, help="of a node of the first cell")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--train_examples", type=int, help="train on no more than so many images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("gradients.png"))
    arguments = parser.parse_args()

    digits = data.open("digits", train_examples=arguments.train_examples)
    titles = {False: "With the shortcuts of the cells", True: "Without them"}
    found = {no_skip: measure(no_skip, digits, arguments) for no_skip in titles}
    arguments.output.write_bytes(charts.png([[chart(titles[key], found[key]) for key in titles]]))
    print(f"wrote {arguments.output}")
    for no_skip, sums in found.items():
        changes = ", ".join(f"{spikiness(each):.2f}" for each in sums)
        print(f"{titles[no_skip]}: mean change between neighbours over their mean, by epoch: {changes}")


if __name__ == "__main__":
    main()
