"""Are the cells that a search has found better than random ones? Train both from scratch in the same way.

python examples/compare_cells.py RUN --epochs=12

RUN is the run folder of `bnn search`. Random cells of about the same number of binary operations are drawn,
and a network of each is trained by the usual recipe, in a run folder of its own. The same command resumes
a comparison that was stopped.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import bnn_keras  # first: it makes tf.keras Keras 2, which Larq needs
import zoo
from bnn_keras import data, training
from bnn_keras.errors import UserError
from bnn_keras.runs import RunFolder, Table
from bnn_keras.search.genotypes import choose, prune
from bnn_keras.settings.search import Space
from zoo import bnas_search, genotype

import tensorflow as tf  # isort: skip

Cells = dict[str, tuple[str, ...]]
NEAR = 0.1  # how far the costs of random cells may differ from those of the cells that were found
TRIES = 100_000


def random_cells(random: np.random.Generator, space: Space) -> Cells:
    """Cells that a search without images could find: random weights of the operations."""
    size = len(space.edges), len(space.operations)
    return {form: prune(choose(random.random(size), space), space) for form in space.forms}


def cost(cells: Cells, number: int) -> int:
    """Binary operations of the edges in a network of so many cells, in units that all its cells share.

    A reduction halves the edge of the feature map and doubles the channels, so an edge costs the same in all
    cells: the number of weights of its kernel for a pair of channels.
    """
    times = {"normal": number - 2, "reduction": 2}
    kernels = {name: size**2 for name, (size, _) in genotype.CONVOLUTIONS.items()}
    return sum(
        times[form] * kernels.get(edge.split()[0], 0) for form, edges in cells.items() for edge in edges
    )


def of_the_same_cost(found: Cells, count: int, number: int, seed: int) -> list[Cells]:
    """Random cells that cost about as much as others."""
    random, space = np.random.default_rng(seed), bnas_search.space()
    drawn: list[Cells] = []
    for _ in range(TRIES):
        cells = random_cells(random, space)
        if abs(cost(cells, number) - cost(found, number)) > NEAR * cost(found, number):
            continue
        try:
            genotype.check(cells)
        except UserError:  # a form of zeroise alone
            continue
        drawn.append(cells)
        if len(drawn) == count:
            return drawn
    raise UserError(f"Of {TRIES} random cells, {len(drawn)} cost about as much as those that were found.")


def train(
    cells: Cells, images: data.Dataset, folder: Path, arguments: argparse.Namespace
) -> Sequence[object]:
    """A row of the table: the cost of the network, and its held-out accuracy."""
    recipe = zoo.recipe("bnas_a", images.name, images.kind)
    recipe = recipe.override(epochs=arguments.epochs, batch_size=arguments.batch_size)
    training.make_deterministic(seed=0)
    shape = (images.image_size, images.image_size, 3)
    network = zoo.build(
        "bnas_a", shape, len(images.class_names), cells=arguments.cells, channels=arguments.channels, **cells
    )
    counts = bnn_keras.profile(network)
    bnn_keras.train(network, images, recipe, folder)
    accuracies = Table(RunFolder(folder).history, ()).column("val_accuracy")
    tf.keras.backend.clear_session()
    return [folder.name, counts.params, counts.bops, 100 * max(accuracies), 100 * accuracies[-1]]


def main() -> None:
    """Train all networks, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of a search")
    parser.add_argument("--cells", type=int, default=8, help="of the networks")
    parser.add_argument("--channels", type=int, default=16, help="of a node of the first cell")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--random", type=int, default=5, help="number of random cells")
    parser.add_argument("--seed", type=int, default=0, help="of the random cells")
    arguments = parser.parse_args()

    config = RunFolder(arguments.run).read_config()
    images = data.open(config.dataset, config.data_dir, config.image_size, config.train_examples)
    read = json.loads((arguments.run / "genotype.json").read_text())
    found = {form: tuple(read[form]) for form in genotype.FORMS}
    others = of_the_same_cost(found, arguments.random, arguments.cells, arguments.seed)
    named = {"found": found, **{f"random{number}": cells for number, cells in enumerate(others, start=1)}}
    rows = []
    for name, cells in named.items():
        folder = arguments.run / "compared" / name
        rows.append(train(cells, images, folder, arguments))
        (folder / "genotype.json").write_text(json.dumps(cells, indent=2) + "\n")
    print("cells      parameters  binary operations  held out, best epoch %  last epoch %")
    for name, params, bops, best, last in rows:
        print(f"{name:10} {params:10,}  {bops:17,}  {best:22.2f}  {last:12.2f}")


if __name__ == "__main__":
    main()
