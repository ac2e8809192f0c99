"""The pictures of a preview: what they show is what training sees."""

import numpy as np
import tensorflow as tf
from PIL import Image

from bnn_keras import data
from bnn_keras.data import preview
from bnn_keras.data.augment.transforms import training_transform
from bnn_keras.nn import normalization
from bnn_keras.settings.augmentation import Augmentation


def digits(**settings):
    return data.open("digits", image_size=16, train_examples=20, augmentation=Augmentation(**settings))


def test_a_row_has_the_original_and_every_epoch(tmp_path):
    figure = preview.draw_epochs(digits(mixup=1.0, repeats=2), 3, 2, seed=0)
    assert [axis.get_title() for axis in figure.axes[:3]] == ["original", "epoch 0", "epoch 1"]
    assert len(figure.axes) == 9 and figure.axes[0].get_xlabel() in list("0123456789")
    assert any("," in axis.get_xlabel() or "\n" in axis.get_xlabel() for axis in figure.axes)  # a mixture
    preview.save(figure, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 300 and sheet.height > 400


def test_a_preview_shows_what_training_sees():
    dataset = digits(lighting=1.0)
    figure = preview.draw_epochs(dataset, 3, 1, seed=3)
    shown = [axis.get_images()[0].get_array() for axis in figure.axes[1::2]]
    mean, _ = normalization.MEAN_STD[dataset.normalization]
    augment = training_transform(dataset.augmentation, dataset.kind, 16, mean)
    key = np.random.default_rng([3, 0]).integers(2**63)
    records = preview.First(dataset.source, 3, 3).train(np.random.default_rng(0))
    for i, record in enumerate(records):
        contents, _ = dataset.source.read(record)
        expected = augment(contents, tf.constant([key, i], tf.int64))
        assert np.array_equal(shown[i], np.round(expected).astype(np.uint8))


def test_a_row_for_every_operation():
    figure = preview.draw_operations(digits(), increasing=True, seed=0)
    names = [axis.get_xlabel() for axis in figure.axes if axis.get_xlabel()]
    assert names[:4] == ["AutoContrast", "Equalize", "Invert", "Rotate"] and len(names) == 15
    assert len(figure.axes) == 15 * 7
