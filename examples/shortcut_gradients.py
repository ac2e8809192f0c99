"""Draw how large the gradients of convolutions are, with and without the shortcuts from cell to cell.

python examples/shortcut_gradients.py --epochs=3 --output=gradients.png

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
from bnn_keras.nn import layers, normalization
from bnn_keras.report import charts
from bnn_keras.report.charts import Chart, Line
from bnn_keras.training import objective, optimizers
from zoo import bnas, genotype, pytorch, shared

import tensorflow as tf  # isort: skip

BATCH_SIZE = 64
TITLES = {True: "With shortcuts from cell to cell", False: "Without shortcuts"}


def gradient_sums(network: tf.keras.Model, images: tf.Tensor, labels: tf.Tensor) -> np.ndarray:
    """The sum of the magnitudes of the gradients of each convolution, in the order of the network."""
    kernels = [layer.kernel for layer in network.layers if isinstance(layer, tf.keras.layers.Conv2D)]
    with tf.GradientTape() as tape:
        loss = objective.CrossEntropy()(labels, network(images, training=True))
    return np.array([float(tf.reduce_sum(tf.abs(gradient))) for gradient in tape.gradient(loss, kernels)])


def build(cells: int, channels: int, classes: int, with_shortcuts: bool) -> tf.keras.Model:
    """A network of the cells that BNAS found on CIFAR-10, for images of 32 pixels."""
    image = tf.keras.Input((32, 32, 3), name="image")
    x = layers.Normalize(*normalization.constants("digits"), name="normalization")(image)
    before, last = bnas.stem_layers(x, "thumbnail", channels)
    reductions = (cells // 3, 2 * cells // 3)
    for number in range(cells):
        reduces = number in reductions
        cell = bnas.Cell(
            name=f"cell{number + 1}",
            edges=genotype.edges_by_node(genotype.CIFAR10["reduction" if reduces else "normal"]),
            filters=channels * 2 ** sum(number >= place for place in reductions),
            reduces=reduces,
            after_reduction=number - 1 in reductions,
            affine=True,
            zeros=(),
            has_shortcut=with_shortcuts and number > 0,
            binary=True,
            released_slip=False,
        )
        before, last = last, cell(before, last)
    return tf.keras.Model(image, shared.Head(classes)(last, initializer=pytorch.uniform))


def measure(with_shortcuts: bool, digits: data.Dataset, arguments: argparse.Namespace) -> list[np.ndarray]:
    """The sums after each epoch of a training, from the beginning on."""
    training.make_deterministic(arguments.seed)
    network = build(arguments.cells, arguments.channels, len(digits.class_names), with_shortcuts)
    recipe = zoo.recipe("bnas_a", digits.name, digits.kind)
    recipe = recipe.override(epochs=arguments.epochs, batch_size=BATCH_SIZE)
    steps = digits.steps_per_epoch(BATCH_SIZE)
    network.compile(optimizers.optimizer_of(recipe, steps), objective.CrossEntropy(), objective.metrics(10))
    batch = next(iter(digits.train(BATCH_SIZE, epoch=0, seed=arguments.seed)))
    found = [gradient_sums(network, *batch)]
    for epoch in range(arguments.epochs):
        fitted = network.fit(digits.train(BATCH_SIZE, epoch, arguments.seed), verbose=0)
        found.append(gradient_sums(network, *batch))
        accuracy = fitted.history["accuracy"][-1]
        print(f"{TITLES[with_shortcuts]}, epoch {epoch + 1}: training accuracy {accuracy:.4f}", flush=True)
    return found


def spikiness(sums: np.ndarray) -> float:
    """The mean change from one convolution to the next, as a share of their mean."""
    return float(np.abs(np.diff(sums)).mean() / sums.mean())


def chart(title: str, found: list[np.ndarray]) -> Chart:
    """The sums of each epoch along the convolutions of the network."""
    last = max(len(found) - 1, 1)
    lines = [
        Line(
            f"after epoch {epoch}" if epoch else "before",
            np.arange(1, len(sums) + 1),
            sums,
            shade=epoch / last,
        )
        for epoch, sums in enumerate(found)
    ]
    return Chart(title, lines, x_label="convolution", y_label="sum of gradient magnitudes")


def main() -> None:
    """Train both networks, draw, and print how much neighbouring convolutions differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=12, help="of the networks")
    parser.add_argument("--channels", type=int, default=8, help="of a node of the first cell")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--train_examples", type=int, help="train on no more than so many images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("gradients.png"))
    arguments = parser.parse_args()

    digits = data.open("digits", train_examples=arguments.train_examples)
    found = {with_shortcuts: measure(with_shortcuts, digits, arguments) for with_shortcuts in TITLES}
    arguments.output.write_bytes(charts.png([[chart(TITLES[key], found[key]) for key in TITLES]]))
    print(f"wrote {arguments.output}")
    for with_shortcuts, sums in found.items():
        changes = ", ".join(f"{spikiness(each):.2f}" for each in sums)
        print(f"{TITLES[with_shortcuts]}: change from one convolution to the next over the mean: {changes}")


if __name__ == "__main__":
    main()
