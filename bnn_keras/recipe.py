"""What a training run is made of, as data."""

import dataclasses


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

    def replace(self, **changes) -> "Recipe":
        """A copy with other values."""
        return dataclasses.replace(self, **changes)
