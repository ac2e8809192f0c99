"""Pictures of confusion matrices, read back pixel by pixel where that can be."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.report import confusion


def pixels(counts, names=None):
    names = names or [str(label) for label in range(len(counts))]
    return tf.io.decode_png(confusion.draw(np.array(counts), names, "title"), channels=3).numpy().astype(int)


def is_blue(picture):
    return (picture[..., 2] > picture[..., 0] + 60).sum()


def is_orange(picture):
    return (picture[..., 0] > picture[..., 2] + 60).sum()


def test_right_is_blue_and_wrong_is_orange():
    right, wrong = pixels([[9, 0], [0, 9]]), pixels([[0, 9], [9, 0]])
    assert is_blue(right) > 10_000 and not is_orange(right)
    assert is_orange(wrong) > 10_000 and not is_blue(wrong)
    half = pixels([[9, 0], [0, 0]])  # a class without images is empty
    assert is_blue(half) == pytest.approx(is_blue(right) / 2, rel=0.1)


@pytest.mark.parametrize("classes", [confusion.NUMBERED + 1, confusion.NAMED + 1])
def test_many_classes(classes, monkeypatch):
    monkeypatch.setattr(confusion, "DPI", 30)
    counts = 20 * np.eye(classes, dtype=int)
    counts[0, 1] = 20
    picture = pixels(counts, [f"$class{label}" + 40 * "x" for label in range(classes)])
    assert is_blue(picture) and is_orange(picture)
    assert min(picture.shape[:2]) > 50 and max(picture.shape[:2]) < 1000


def test_too_many_classes():
    with pytest.raises(UserError, match="A picture has room for 2,000 classes. Received: 2,001."):
        confusion.check(2001)
