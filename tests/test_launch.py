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


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        (110, [[25, 25, 5], [25, 25, 5]]),
        (131, [[25, 25, 16], [25, 25, 15]]),
        # 25 a batch would leave nothing to the second worker's third one.
        (101, [[26, 25], [26, 24]]),
    ],
)
def test_held_out_images_are_dealt_out_down_to_the_last(limit, sizes):
    digits = data.open("digits")
    parts = [digits.test(50, limit, part=(i, 2)) for i in range(2)]
    assert [[len(labels) for _, labels in part] for part in parts] == sizes
    assert [int(part.cardinality()) for part in parts] == [len(sizes[0])] * 2
    (whole,) = read(digits.test(limit, limit))
    for i, part in enumerate(parts):
        for dealt, alone in zip(zip(*read(part), strict=True), whole, strict=True):
            np.testing.assert_array_equal(np.concatenate(dealt), alone[i::2])


def test_what_cannot_be_shared_out_is_refused():
    digits = data.open("digits")
    for batches in (lambda: digits.train(16, 0, 0, part=(0, 3)), lambda: digits.test(16, part=(0, 3))):
        with pytest.raises(UserError, match=r"multiple of the 3 parts. Received: 16"):
            batches()
    with pytest.raises(UserError, match="2 held-out examples do not suffice for 3 parts"):
        digits.test(30, limit=2, part=(0, 3))
