"""Measuring a network: what is reported for how many classes."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import data
from bnn_keras.runs import evaluation, trained


@pytest.mark.parametrize(("classes", "top5"), [(9, None), (10, 0.5)])
def test_top_5_accuracy_is_reported_from_ten_classes_on(classes, top5, monkeypatch):
    logits = np.arange(classes, 0, -1, dtype=np.float32)[None].repeat(2, axis=0)
    network = trained.TrainedNetwork(Path("x.keras"), lambda images: logits, (4, 4, 3), classes)
    batches = tf.data.Dataset.from_tensors((np.zeros((2, 4, 4, 3)), np.array([4, 5])))
    dataset = data.open("digits", train_examples=10)
    monkeypatch.setattr(type(dataset), "test", lambda *_: batches)
    assert evaluation.evaluate(network, dataset).top5 == top5
