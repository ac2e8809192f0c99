"""Epochs that can be made again, splits, and what a user can get wrong when opening a data set."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from bnn_keras import data
from bnn_keras.data.sources import catalog, split
from bnn_keras.errors import UserError
from bnn_keras.nn import normalization


def batches(dataset):
    return [(x.numpy(), y.numpy()) for x, y in dataset]


def same(first, second):
    return len(first) == len(second) and all(
        np.array_equal(x, v) and np.array_equal(y, w) for (x, y), (v, w) in zip(first, second, strict=True)
    )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of two classes, JPEGs larger than what comes out."""
    root = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir()
        for i in range(15):
            small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
            small.resize((80, 60 + i)).save(root / name / f"{i}.jpg")
    return root


def sources(*large):
    """The kinds of sources, of which some are large."""
    names = ("digits", "folder", "cifar10")
    params = [pytest.param(name, marks=pytest.mark.large if name in large else ()) for name in names]
    return pytest.mark.parametrize("opened", params, indirect=True)


@pytest.fixture
def opened(request, photographs):
    if request.param == "digits":
        return data.open("digits", train_examples=100)
    if request.param == "folder":
        return data.open(f"folder:{photographs}", image_size=24)
    shared = request.getfixturevalue("shared")
    return data.open("cifar10", data_dir=shared / "tfds", train_examples=100)


@sources()
def test_skipping_gives_the_rest_of_the_same_epoch(opened):
    steps = opened.steps_per_epoch(7)
    whole = batches(opened.train(7, epoch=3, seed=5))
    assert len(whole) == steps == opened.num_train // 7
    for skip in (0, 1, steps - 1, steps):
        tf.random.set_seed(skip)  # the process's own seed has no say
        rest = opened.train(7, epoch=3, seed=5, skip_batches=skip)
        assert rest.cardinality() == steps - skip
        assert same(batches(rest), whole[skip:])


@sources("folder", "cifar10")
def test_other_epochs_and_seeds_differ(opened):
    first, epoch, seed = (batches(opened.train(7, *at)) for at in ((0, 5), (1, 5), (0, 6)))
    for other in (epoch, seed):
        assert not np.array_equal(
            np.concatenate([y for _, y in first]), np.concatenate([y for _, y in other])
        )
        assert not np.array_equal(first[0][0], other[0][0])


@sources()
def test_element_types(opened):
    for dataset in (opened.train(6, 0, 0), opened.test(6)):
        images, labels = next(iter(dataset))
        assert images.shape == (6, opened.image_size, opened.image_size, 3)
        assert (images.dtype, labels.dtype) == (tf.float32, tf.int64)
        assert tf.reduce_min(images) >= 0 and 100 < tf.reduce_max(images) <= 255
        assert dataset.element_spec[0].shape[1:] == images.shape[1:]


@sources("cifar10")
def test_test_set_is_whole_and_fixed(opened):
    first, again = batches(opened.test(64)), batches(opened.test(64))
    assert same(first, again)
    assert sum(len(y) for _, y in first) == opened.num_test
    assert sum(len(y) for _, y in batches(opened.test(4, limit=5))) == 5
    assert opened.test(4, limit=5).cardinality() == 2


def test_an_epoch_has_every_example_once():
    digits = data.open("digits")
    (images, labels), *_ = batches(digits.train(digits.num_train, 0, 0))
    (test, test_labels), *_ = batches(digits.test(1797))
    assert len(labels) + len(test_labels) == 1797
    everything = np.concatenate([images, test]).reshape(1797, -1)
    from sklearn.datasets import load_digits

    original = tf.image.resize(load_digits().images[..., None], [32, 32]).numpy().repeat(3, -1) * 255 / 16
    assert np.allclose(np.sort(everything.sum(1)), np.sort(original.reshape(1797, -1).sum(1)), rtol=1e-4)
    unique = {row.tobytes() for row in everything}
    assert len(unique) == len({row.tobytes() for row in original.astype(np.float32)})


def test_digits_are_stratified():
    digits = data.open("digits")
    train = np.bincount(digits.source.labels[digits.source._train])
    test = np.bincount(digits.source.labels[digits.source._test])
    assert not set(digits.source._train) & set(digits.source._test)
    assert np.all(np.abs(test / (train + test) - 0.2) < 0.5 / (train + test).min() + 1e-9)
    few = data.open("digits", train_examples=100)
    counts = np.bincount(few.source.labels[few.source._train], minlength=10)
    assert counts.sum() == few.num_train == 100
    assert np.all(np.abs(counts - 100 * train / train.sum()) <= 1)


def test_digits_constants_are_measured():
    digits = data.open("digits")
    images = np.concatenate([x for x, _ in batches(digits.train(digits.num_train, 0, 0))], dtype=np.float64)
    for measured, written in zip(
        (images.mean(), images.std()), normalization.MEAN_STD["digits"], strict=True
    ):
        assert np.allclose(written, measured, atol=0.01)


def test_what_a_set_says_of_itself(shared, photographs):
    digits = data.open("digits", image_size=48)
    assert (digits.kind, digits.image_size, digits.normalization) == ("digits", 48, "digits")
    assert digits.class_names == tuple("0123456789")
    cifar = data.open("cifar10", data_dir=shared / "tfds")
    assert (cifar.kind, cifar.image_size, cifar.normalization) == ("small", 32, "cifar10")
    assert (cifar.num_train, cifar.num_test, cifar.class_names[3]) == (10000, 2000, "cat")
    imagenet = data.open("imagenet2012:5.1.0", data_dir=str(shared / "tfds"))
    assert (imagenet.kind, imagenet.image_size, imagenet.normalization) == (
        "photographs",
        224,
        "imagenet2012",
    )
    assert (imagenet.num_train, imagenet.num_test, len(imagenet.class_names)) == (200, 100, 1000)
    folder = data.open(f"folder:{photographs}")
    assert (folder.kind, folder.image_size, folder.normalization) == ("photographs", 224, "imagenet2012")


def all_of(records):
    return next(iter(records.batch(20_000))).numpy().tolist()


def test_cifar_shuffles_all_of_it(shared):
    cifar = data.open("cifar10", data_dir=shared / "tfds")
    records = all_of(cifar.source.train(np.random.default_rng(0)))
    assert len(set(records)) == cifar.num_train
    fixed = all_of(tf.data.TFRecordDataset(cifar.source.train_files))
    moved = {record: i for i, record in enumerate(records)}
    ranks = np.array([moved[record] for record in fixed])
    assert abs(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]) < 0.05


def test_first_examples_of_a_catalog_set_stay_the_same(shared):
    cifar = data.open("cifar10", data_dir=shared / "tfds", train_examples=50)
    fixed = set(all_of(tf.data.TFRecordDataset(cifar.source.train_files).take(50)))
    for seed in (0, 1):
        assert set(all_of(cifar.source.train(np.random.default_rng(seed)))) == fixed


def test_in_proportion():
    labels = np.array([0] * 80 + [1] * 20)
    chosen = split.in_proportion(labels, 10)
    assert np.bincount(labels[chosen]).tolist() == [8, 2]
    assert np.array_equal(split.in_proportion(labels, None), np.arange(100))


@pytest.mark.parametrize("train_examples", [0, -3, 1439])
def test_train_examples_that_do_not_fit(train_examples):
    with pytest.raises(UserError, match=f"from 1 to 1438.*Received: {train_examples}"):
        data.open("digits", train_examples=train_examples)


@pytest.mark.parametrize("batch_size", [0, 51])
def test_batch_that_does_not_fit(batch_size):
    digits = data.open("digits", train_examples=50)
    with pytest.raises(UserError, match=f"from 1 to 50, .*digits.*Received: {batch_size}"):
        digits.train(batch_size, 0, 0)
    assert digits.steps_per_epoch(50) == 1


def test_other_numbers_that_do_not_fit():
    digits = data.open("digits")
    with pytest.raises(UserError, match="seed must be 0 or more. Received: -1"):
        digits.train(8, 0, -1)
    with pytest.raises(UserError, match="batch size must be at least 1. Received: 0"):
        digits.test(0)
    with pytest.raises(UserError, match="limit must be at least 1. Received: 0"):
        digits.test(8, limit=0)
    with pytest.raises(UserError, match="image_size .* Received: 0"):
        data.open("digits", image_size=0)


@pytest.mark.parametrize("name", ["cifra10", "", "huggingface:mnist", "../cifar10"])
def test_unknown_name(name, tmp_path):
    with pytest.raises(UserError) as error:
        data.open(name, data_dir=tmp_path)
    message = str(error.value)
    assert (
        repr(name) in message and "folder:PATH" in message and str(tmp_path) in message and len(message) < 300
    )


def test_unknown_version(tmp_path):
    with pytest.raises(UserError, match=r"no 'cifar10:9\.9\.9'.*\.$"):
        data.open("cifar10:9.9.9", data_dir=tmp_path)


def test_absent_set_says_how_to_get_it(tmp_path):
    call = f"tfds.load('cifar10', data_dir='{tmp_path}')"
    with pytest.raises(UserError) as error:
        data.open("cifar10", data_dir=tmp_path)
    assert call in str(error.value) and "manual" not in str(error.value)
    with pytest.raises(UserError, match="downloads/manual"):
        data.open("imagenet2012", data_dir=tmp_path)
    assert not any(tmp_path.iterdir())


def write_set(data_dir, features, splits, **example):
    """A tiny TFDS set of a user's own."""
    import tensorflow_datasets as tfds

    tfds.dataset_builders.store_as_tfds_dataset(
        name="own_set",
        version="1.0.0",
        data_dir=data_dir,
        features=tfds.features.FeaturesDict(features),
        split_datasets={name: tf.data.Dataset.from_tensors(example).repeat(4) for name in splits},
    )


@pytest.fixture
def features():
    import tensorflow_datasets as tfds

    return {"image": tfds.features.Image(shape=(28, 28, 1)), "label": tfds.features.ClassLabel(num_classes=3)}


GREY = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28, 1)


def test_grey_small_set_of_ones_own(tmp_path, features):
    write_set(tmp_path, features, ("train", "test", "validation"), image=GREY, label=2)
    own = data.open("own_set", data_dir=tmp_path)
    assert (own.kind, own.image_size, own.normalization) == ("small", 32, "imagenet2012")
    assert (own.num_train, own.num_test, len(own.class_names)) == (4, 4, 3)
    images, labels = next(iter(own.test(4)))
    assert labels.numpy().tolist() == [2] * 4
    expected = tf.image.resize(GREY, [32, 32]).numpy().repeat(3, -1)
    assert np.allclose(images[0], expected, atol=1e-3)
    assert batches(own.train(4, 0, 0))[0][0].shape == (4, 32, 32, 3)


def test_set_without_label(tmp_path, features):
    write_set(tmp_path, {"image": features["image"]}, ("train", "test"), image=GREY)
    with pytest.raises(UserError, match="own_set is not a set for image classification.*Received: image"):
        data.open("own_set", data_dir=tmp_path)


@pytest.mark.parametrize("splits", [("train",), ("test",)])
def test_set_without_a_split(tmp_path, features, splits):
    write_set(tmp_path, features, splits, image=GREY, label=2)
    with pytest.raises(UserError, match=f"needs a train split and a .*test split. Received: {splits[0]}"):
        data.open("own_set", data_dir=tmp_path)


def test_set_with_a_missing_file(tmp_path, features):
    write_set(tmp_path, features, ("train", "test"), image=GREY, label=2)
    file = next(tmp_path.rglob("*train*tfrecord*"))
    file.unlink()
    with pytest.raises(UserError, match=f"own_set is not complete: there is no file .*{file.name}"):
        data.open("own_set", data_dir=tmp_path)


def test_set_in_another_format(tmp_path, features, monkeypatch):
    write_set(tmp_path, features, ("train", "test"), image=GREY, label=2)
    info = next(tmp_path.rglob("dataset_info.json"))
    info.write_text(info.read_text().replace('"tfrecord"', '"riegeli"'))
    with pytest.raises(UserError, match="stored as riegeli; valid is tfrecord"):
        data.open("own_set", data_dir=tmp_path)


def test_shuffle_buffer_is_bounded():
    class Split:
        num_bytes, num_examples = 150 * 2**30, 1_281_167

    buffer = catalog._shuffle_buffer(Split)
    assert (
        0.5 * catalog.SHUFFLE_BYTES < buffer * Split.num_bytes / Split.num_examples <= catalog.SHUFFLE_BYTES
    )
