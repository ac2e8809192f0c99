"""The halves of a training set: nothing in common, nothing of the test set, repeatable batches."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import data
from bnn_keras.errors import UserError
from bnn_keras.search.halves import Halves

# Both have the same batches but for the reading of images.
CIFAR = pytest.param("cifar10", marks=pytest.mark.large)


@pytest.fixture
def opened(request):
    if request.param == "digits":
        return data.open("digits", train_examples=101)
    shared = request.getfixturevalue("shared")
    augmentation = data.Augmentation(flip=False, crop_area=(1.0, 1.0))
    return data.open("cifar10", shared / "tfds", train_examples=101, augmentation=augmentation)


def rows(images):
    return {row.tobytes() for row in np.asarray(images).reshape(len(images), -1)}


def epoch(halves, number=0, skip=0, batch_size=50):
    """The batches for weights and scores, each as images and labels."""
    return [
        ((x.numpy(), y.numpy()), (other.numpy(), label.numpy()))
        for (x, other), (y, label) in halves.train(batch_size, number, seed=3, skip_batches=skip)
    ]


@pytest.mark.parametrize("opened", ["digits", "cifar10"], indirect=True)
def test_two_halves_without_a_common_image(opened):
    halves = Halves.of(opened)
    assert (halves.num_train, halves.num_test) == (50, 51)
    ((weights, scores),) = epoch(halves)
    held_out = np.concatenate([x for x, _ in halves.test(64)])
    assert len(rows(weights[0])) == 50 and len(rows(held_out)) == 51
    assert not rows(weights[0]) & rows(held_out)
    if opened.kind == "digits":  # others are cropped at random places
        assert rows(scores[0]) < rows(held_out)
    test = np.concatenate([x for x, _ in opened.test(64)])
    assert not rows(test) & (rows(held_out) | rows(weights[0]))


@pytest.mark.parametrize("opened", ["digits", CIFAR], indirect=True)
def test_the_halves_are_the_same_in_every_epoch_and_their_orders_are_not(opened):
    ((first, _),), ((second, _),) = epoch(Halves.of(opened)), epoch(Halves.of(opened), 1)
    assert sorted(first[1]) == sorted(second[1])
    assert not np.array_equal(first[1], second[1])


def test_mixed_images_have_soft_labels_in_both_halves():
    digits = data.open("digits", train_examples=20, augmentation=data.Augmentation(mixup=0.2))
    for weights, scores in epoch(Halves.of(digits), batch_size=5):
        assert weights[1].shape == scores[1].shape == (5, 10)


@pytest.mark.parametrize("opened", ["digits", CIFAR], indirect=True)
def test_skipping_gives_the_rest_of_the_same_epoch(opened):
    whole = epoch(Halves.of(opened), batch_size=7)
    assert len(whole) == Halves.of(opened).steps_per_epoch(7) == 7
    tf.random.set_seed(9)  # the process's own seed has no say
    rest = epoch(Halves.of(opened), skip=2, batch_size=7)
    for one, other in zip(whole[2:], rest, strict=True):
        for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("examples", "batch_size", "sentence"),
    [
        (40, 21, "the 40 training examples of digits: the batch size must be from 1 to 20. Received: 21."),
        (1, 1, "the 1 training examples of digits: the batch size must be 1, of at least 2 examples."),
    ],
)
def test_fewer_images_than_a_batch_of_each_half(examples, batch_size, sentence):
    halves = Halves.of(data.open("digits", train_examples=examples))
    with pytest.raises(UserError, match=sentence):
        halves.steps_per_epoch(batch_size)
