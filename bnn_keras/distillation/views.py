"""Fixed views: the training cycles through a few fixed epochs of images, with their order and crops."""

import dataclasses
from typing import Any

import tensorflow as tf
from typing_extensions import Self, override

from bnn_keras.data import Dataset


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedViews(Dataset):
    """A data set whose epoch e is always epoch e modulo `views`.

    Args:
        views: number of different epochs.
    """

    views: int

    @classmethod
    def from_dataset(cls, dataset: Dataset, **settings: Any) -> Self:
        """The same data set in views.

        Args:
            dataset: that is shown in views.
            settings: the further fields of this class.
        """
        fields = {field.name: getattr(dataset, field.name) for field in dataclasses.fields(Dataset)}
        return cls(**fields, **settings)

    def view(self, epoch: int) -> int:
        """The view of an epoch, both counted from 0."""
        return epoch % self.views

    @override
    def train(
        self, batch_size: int, epoch: int, seed: int, skip_batches: int = 0, part: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        return super().train(batch_size, self.view(epoch), seed, skip_batches, part)
