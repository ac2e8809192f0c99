"""Pictures of training images beside their originals, and of RandAugment's operations."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bnn_keras import files
from bnn_keras.data.augment import mixing, rand_augment
from bnn_keras.data.augment.transforms import evaluation_transform
from bnn_keras.data.dataset import Dataset
from bnn_keras.data.sources.source import Source
from bnn_keras.nn import normalization

CELL = 1.5  # inches: the edge of an image
DPI = 110
SUFFIXES = (".png", ".pdf", ".svg")
LONGEST = 22  # characters in a line of a caption
MAGNITUDES = (2, 4, 6, 8, 10)


@dataclasses.dataclass
class First:
    """A source that has the same few training images in every epoch.

    Args:
        source: where they come from.
        num_train: how many.
        seed: of their choice.
    """

    source: Source
    num_train: int
    seed: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        """Their records, always in the same order."""
        return self.source.train(np.random.default_rng(self.seed)).take(self.num_train)


def draw_epochs(dataset: Dataset, images: int, epochs: int, seed: int) -> Figure:
    """Draw a row for each image: the original as it is evaluated, and its version in each epoch.

    Args:
        dataset: repeated images are shown once in an epoch.
        images: how many, at most as many as the training set has.
        epochs: how many, from the first on.
        seed: of the choice of the images and of the augmentation.
    """
    few = First(dataset.source, min(images, dataset.num_train), seed)
    augmentation = dataclasses.replace(dataset.augmentation, repeats=1)
    once = dataclasses.replace(dataset, source=few, augmentation=augmentation)
    originals, labels = _originals(once)
    rows = [[(image, dataset.class_names[label])] for image, label in zip(originals, labels, strict=True)]
    for epoch in range(epochs):
        batch, soft = next(iter(once.train(few.num_train, epoch, seed)))
        for i, row in enumerate(rows):
            mixed = mixing.describe(soft[i].numpy(), dataset.class_names) if once.soft_labels else ""
            row.append((batch[i].numpy(), mixed))
    return _sheet(["original", *(f"epoch {epoch}" for epoch in range(epochs))], rows)


def draw_operations(dataset: Dataset, increasing: bool, seed: int) -> Figure:
    """Draw a row for each operation of RandAugment: an image at several magnitudes and signs.

    Args:
        dataset: the image is from its training set.
        increasing: see `bnn_keras.settings.rand_augment.RandAugment`.
        seed: of the choice of the image.
    """
    few = dataclasses.replace(dataset, source=First(dataset.source, 1, seed))
    original = np.round(_originals(few)[0][0]).astype(np.uint8)
    mean, _ = normalization.MEAN_STD[dataset.normalization]
    table = rand_augment.operation_table(increasing, [round(channel) for channel in mean])
    columns = [*((m, 1.0) for m in MAGNITUDES), (MAGNITUDES[-1], -1.0)]
    rows = [
        [(original, name)]
        + [(function(tf.constant(original), tf.constant(m / 10), tf.constant(s)), "") for m, s in columns]
        for name, function in table.items()
    ]
    titles = [f"magnitude {m}" for m, _ in columns[:-1]]
    return _sheet(["original", *titles, f"{MAGNITUDES[-1]}, other way"], rows)


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write a picture, whole or not at all.

    Args:
        figure: the picture.
        path: of the file; its suffix, one of `SUFFIXES`, chooses the format.

    Raises:
        UserError: it cannot be written.
    """
    with files.replacing(path) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, dpi=DPI)


def _originals(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The training images of a small data set as they are evaluated, and their labels."""
    transform = evaluation_transform(dataset.evaluated)
    examples = [dataset.source.read(record) for record in dataset.source.train(np.random.default_rng(0))]
    return np.stack([transform(contents) for contents, _ in examples]), np.array(
        [int(y) for _, y in examples]
    )


def _sheet(titles: Sequence[str], rows: Sequence[Sequence[tuple]]) -> Figure:
    """A grid of (image, caption), with titles above the columns."""
    figure = Figure(figsize=(CELL * len(titles), (CELL + 0.25) * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for row, cells in zip(axes, rows, strict=True):
        for axis, (image, caption) in zip(row, cells, strict=True):
            axis.imshow(np.clip(np.round(image), 0, 255).astype(np.uint8), interpolation="nearest")
            axis.set_xlabel(_wrap(caption), fontsize=7)
            axis.set(xticks=[], yticks=[])
            for side in axis.spines.values():
                side.set_visible(False)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    return figure


def _wrap(caption: str) -> str:
    """The parts of a caption below each other, each cut to the width of the image."""
    parts = caption.split(", ")
    return "\n".join(part if len(part) <= LONGEST else part[: LONGEST - 1] + "…" for part in parts)
