"""What a training run is made of, as data."""

import dataclasses

from bnn_keras.errors import UserError


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Settings of a training run.

    Args:
        epochs: passes over the training images on the cosine.
        batch_size: images a step, over all devices.
        optimizer: a name of `bnn_keras.optimizers`.
        learning_rate: the peak.
        warmup_epochs: of a linear rise from 0 to the peak, part of `epochs`.
        tail_epochs, tail_learning_rate: further epochs at a constant rate.
    """

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    warmup_epochs: int = 0
    tail_epochs: int = 0
    tail_learning_rate: float = 0.0

    @property
    def all_epochs(self) -> int:
        """Epochs with the tail's."""
        return self.epochs + self.tail_epochs

    def replace(self, **changes) -> "Recipe":
        """A copy with other values."""
        return dataclasses.replace(self, **changes)

    def override(self, epochs: int | None = None, **changes) -> "Recipe":
        """A copy with the values that are not None.

        Another number of epochs shortens or stretches the warm-up with it, and leaves out the tail.
        """
        given = {key: value for key, value in changes.items() if value is not None}
        if epochs is not None and epochs != self.epochs:
            warmup = round(self.warmup_epochs * epochs / self.epochs)
            given |= {"epochs": epochs, "warmup_epochs": warmup, "tail_epochs": 0}
        return self.replace(**given)

    def check(self) -> None:
        """Raise UserError for a value that cannot be."""
        if self.epochs < 1:
            raise UserError(f"The number of epochs must be at least 1. Received: {self.epochs}.")
        if not 0 < self.learning_rate < float("inf"):
            raise UserError(f"The learning rate must be a positive number. Received: {self.learning_rate}.")


# Measured: MeliusNet-29 is past 98 % on the held-out digits.
DIGITS = Recipe(epochs=12, batch_size=32, optimizer="radam", learning_rate=0.002)
# BMXNet-v2's binary ResNet-18 on CIFAR-10 (about 90 %).
SMALL = Recipe(epochs=150, batch_size=128, optimizer="adam", learning_rate=0.02, warmup_epochs=5)
# The MeliusNet paper's optimizer and rate; fewer epochs and the batch of one of its GPUs.
PHOTOGRAPHS = Recipe(epochs=60, batch_size=32, optimizer="radam", learning_rate=0.002)

BY_KIND = {"digits": DIGITS, "small": SMALL, "photographs": PHOTOGRAPHS}
IMAGENET = "imagenet2012"


def choose(dataset: str, kind: str, paper: Recipe) -> Recipe:
    """The recipe where the user gives none.

    Args:
        dataset, kind: name and kind of a `bnn_keras.data.Dataset`.
        paper: the network's own for ImageNet, which holds there.
    """
    return paper if dataset == IMAGENET else BY_KIND[kind]


THUMBNAIL_BELOW = 50  # pixels


def choose_stem(kind: str, image_size: int) -> str | None:
    """The stem where the user gives none: "thumbnail" for small photographs, as published.

    Digits are upsampled and need no detail: the network's own stem is faster there.

    Returns:
        A name, or None for the network's own.
    """
    return "thumbnail" if kind != "digits" and image_size < THUMBNAIL_BELOW else None
