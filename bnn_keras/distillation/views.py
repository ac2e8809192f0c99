"""Fixed views: training cycles through the same few epochs of images, order and crops included."""

import dataclasses

import tensorflow as tf

from bnn_keras.data import Dataset


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedViews(Dataset):
    """A data set whose epoch e is that of view e modulo `views`.

    Args:
        views: how many there are.
    """

    views: int

    @classmethod
    def of(cls, dataset: Dataset, **settings):
        """The same data set in views."""
        fields = {field.name: getattr(dataset, field.name) for field in dataclasses.fields(Dataset)}
        return cls(**fields, **settings)

    def view(self, epoch: int) -> int:
        """The view that an epoch shows, both from 0."""
        return epoch % self.views

    def train(
        self, batch_size: int, epoch: int, seed: int, skip_batches: int = 0, part: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        return super().train(batch_size, self.view(epoch), seed, skip_batches, part)
