"""Several workers: what each reads, that they agree with one, and that a killed one is no harm."""

import numpy as np
import pytest

from bnn_keras import data
from bnn_keras.errors import UserError


def read(batches):
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


@pytest.mark.parametrize("skip", [0, 2])
def test_workers_together_see_what_one_sees(skip):
    digits = data.open("digits", train_examples=100)
    whole = read(digits.train(12, epoch=3, seed=5, skip_batches=skip))
    parts = [read(digits.train(12, 3, 5, skip, part=(i, 3))) for i in range(3)]
    assert [len(whole), *map(len, parts)] == [8 - skip] * 4
    for batch, *of_workers in zip(whole, *parts, strict=True):
        for together, alone in zip(zip(*of_workers, strict=True), batch, strict=True):
            np.testing.assert_array_equal(np.concatenate(together), alone)


def test_held_out_images_are_shared_out_down_to_the_last():
    digits = data.open("digits")
    for limit, sizes in {110: [[25, 25, 10], [25, 25]], 130: [[25, 25, 25], [25, 25, 5]]}.items():
        parts = [digits.test(50, limit, part=(i, 2)) for i in range(2)]
        assert [[len(labels) for _, labels in part] for part in parts] == sizes
        assert [part.cardinality() for part in parts] == [len(of_part) for of_part in sizes]
        labels = np.concatenate([batch for part in parts for _, batch in read(part)])
        expected = np.concatenate([batch for _, batch in read(digits.test(50, limit))])
        np.testing.assert_array_equal(np.sort(labels), np.sort(expected))


def test_a_batch_that_cannot_be_shared_out_is_refused():
    digits = data.open("digits")
    for batches in (lambda: digits.train(16, 0, 0, part=(0, 3)), lambda: digits.test(16, part=(0, 3))):
        with pytest.raises(UserError, match=r"multiple of the 3 workers. Received: 16"):
            batches()
