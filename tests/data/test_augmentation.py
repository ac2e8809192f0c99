"""The augmentation in the pipeline: settings, what each of them does, and that an epoch can be made again."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_image

from bnn_keras import data
from bnn_keras.data.augment import crops, jitter, mixing, operations
from bnn_keras.data.augment.transforms import evaluation_transform, training_transform
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import STANDARDS, Augmentation
from bnn_keras.settings.preprocessing import Preprocessing

POLICY = "rand-m7-mstd0.5-inc1-n2-p0.5"
EVERYTHING = Augmentation(
    rand_augment=POLICY,
    color_jitter=(0.4, 0.4, 0.4, 0.2),
    hsv_jitter=(0.1, 0.4, 0.4),
    lighting=0.1,
    mixup=0.8,
    cutmix=1.0,
    repeats=2,
)
CROPS = STANDARDS["photographs"].crop_area, STANDARDS["photographs"].crop_aspect
FLOWER = load_sample_image("flower.jpg")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of two classes, pieces of real photographs as JPEGs."""
    root = tmp_path_factory.mktemp("pieces")
    for name in ("china", "flower"):
        (root / name).mkdir()
        image = Image.fromarray(load_sample_image(f"{name}.jpg"))
        for i in range(13):
            image.crop((40 * i, 20 * i, 40 * i + 90, 20 * i + 70)).save(root / name / f"{i}.jpg")
    return f"folder:{root}"


def batches(dataset):
    return [(x.numpy(), y.numpy()) for x, y in dataset]


def same(first, second):
    return len(first) == len(second) and all(
        np.array_equal(x, v) and np.array_equal(y, w) for (x, y), (v, w) in zip(first, second, strict=True)
    )


def opened(name, augmentation, size=24):
    train_examples = 20 if name == "digits" else None
    return data.open(name, image_size=size, train_examples=train_examples, augmentation=augmentation)


# RandAugment takes most of the time; tests/data/test_augmentation_rand.py draws its operations by seed.
@pytest.mark.parametrize(
    "augmentation",
    [dataclasses.replace(EVERYTHING, rand_augment=None), pytest.param(EVERYTHING, marks=pytest.mark.large)],
    ids=["without RandAugment", "everything"],
)
def test_an_epoch_can_be_made_again_from_any_batch_on(photographs, augmentation):
    dataset = opened(photographs, augmentation)
    whole = batches(dataset.train(4, epoch=2, seed=5))
    assert len(whole) == 5 and len({x.tobytes() for x, _ in whole}) == 5
    for images, labels in whole:
        assert images.dtype == labels.dtype == np.float32 and labels.shape == (4, len(dataset.class_names))
        assert images.min() >= 0 and images.max() <= 255
    tf.random.set_seed(2)  # the process's own seed has no say
    assert same(batches(opened(photographs, augmentation).train(4, 2, 5, skip_batches=3)), whole[3:])


def test_another_epoch_is_augmented_otherwise():
    one = data.open("digits", image_size=24, train_examples=1, augmentation=Augmentation(lighting=0.1))
    (first, _), (other, _) = (batches(one.train(1, epoch, 5))[0] for epoch in (2, 3))
    assert not np.array_equal(first, other)


def test_parts_of_a_batch_are_mixed_as_the_whole(photographs):
    dataset = opened(photographs, Augmentation(lighting=0.1, mixup=0.8, cutmix=1.0))
    whole = batches(dataset.train(4, 0, 1))
    parts = [batches(dataset.train(4, 0, 1, part=(i, 2))) for i in range(2)]
    joined = [tuple(map(np.concatenate, zip(a, b, strict=True))) for a, b in zip(*parts, strict=True)]
    assert same(joined, whole)
    with pytest.raises(UserError, match="part of the batch must be a multiple of 2. Received: 1"):
        dataset.train(2, 0, 1, part=(0, 2))


def test_evaluation_is_not_augmented(photographs):
    plain, augmented = (opened(photographs, a).test(8) for a in (None, EVERYTHING))
    assert same(batches(plain), batches(augmented))


def test_only_mixed_images_have_soft_labels():
    digits = opened("digits", None)
    assert not digits.soft_labels and digits.augmentation == Augmentation()
    for setting in ({"mixup": 0.2}, {"cutmix": 1.0}):
        assert opened("digits", Augmentation(**setting)).soft_labels
    assert not opened("digits", Augmentation(mixup=0, cutmix=0, rand_augment=POLICY)).soft_labels


def test_repeats_are_neighbours_and_differ(photographs):
    labels_of = lambda k: [y for _, y in batches(opened(photographs, Augmentation(repeats=k)).train(6, 1, 1))]  # noqa: E731
    once, thrice = np.concatenate(labels_of(1)), np.concatenate(labels_of(3))
    assert len(once) == len(thrice) == 18  # as many steps
    assert np.array_equal(thrice, once[:6].repeat(3))
    images, _ = batches(opened(photographs, Augmentation(repeats=3)).train(6, 1, 1))[0]
    assert len({image.tobytes() for image in images}) == 6
    with pytest.raises(UserError, match="multiple of repeats, 3. Received: 8"):
        opened(photographs, Augmentation(repeats=3)).train(8, 0, 0)


def png(array):
    return tf.io.encode_png(np.asarray(array, np.uint8))


def seeds(count):
    return [tf.constant([7, i], tf.int64) for i in range(count)]


def test_crops_have_the_area_and_aspect_that_were_asked_for():
    position = np.stack(np.meshgrid(np.arange(200), np.arange(240), indexing="ij"), axis=-1)
    image = png(np.concatenate([position, position[..., :1] * 0], axis=-1))
    settings = Augmentation(crop_area=(0.25, 0.3), crop_aspect=(0.5, 0.6), flip=False)
    for kind in ("photographs", "small"):
        augment = training_transform(settings, kind, 20, (0, 0, 0))
        for seed in seeds(40):
            rows, columns = augment(image, seed).numpy()[..., :2].transpose(2, 0, 1)
            # From the centre of the first pixel to that of the last: 19 of 20 pixels.
            height, width = (rows[-1, 0] - rows[0, 0]) / 0.95, (columns[0, -1] - columns[0, 0]) / 0.95
            assert 0.24 < height * width / 48000 < 0.31 and 0.48 < width / height < 0.62


@pytest.mark.parametrize("kind", ["digits", "small", "photographs"])
def test_flipping_can_be_turned_off_and_on(kind):
    rising = png(np.broadcast_to(np.arange(32)[:, None] * 8, (32, 32, 3)))
    usual = kind != "digits"
    for flip in (None, not usual):
        augment = training_transform(Augmentation(flip=flip), kind, 16, (0, 0, 0))
        images = [augment(rising, seed).numpy()[8, 5:11, 0] for seed in seeds(30)]
        flipped = sum(image[-1] < image[0] for image in images)
        assert 5 < flipped < 25 if (usual if flip is None else flip) else flipped == 0


@pytest.mark.parametrize(("interpolation", "edge"), [("bicubic", 235), ("bilinear", 256), (None, None)])
def test_evaluation_resizes_to_its_own_edge(interpolation, edge):
    photograph = Image.fromarray(FLOWER).resize((300, 330))  # shrunk by little: bilinear needs no smoothing
    settings = Augmentation(interpolation=interpolation, evaluation_edge=edge)
    got = evaluation_transform(Preprocessing.of(settings, "photographs", 224))(png(photograph)).numpy()
    short = edge or 256
    long = short * 330 // 300
    method = Image.Resampling.BICUBIC if interpolation == "bicubic" else Image.Resampling.BILINEAR
    left, top = (short - 224) // 2, (long - 224) // 2
    expected = np.array(
        photograph.resize((short, long), method).crop((left, top, left + 224, top + 224)), int
    )
    assert np.abs(got - expected).mean() < (0.5 if interpolation == "bicubic" else 1.5)
    small = evaluation_transform(Preprocessing.of(settings, "photographs", 56))(png(photograph)).numpy()
    assert small.shape == (56, 56, 3)


def test_small_images_and_digits_are_evaluated_whole_unless_an_edge_is_given():
    image = FLOWER[:32, :32]
    for kind in ("small", "digits"):
        assert np.array_equal(
            evaluation_transform(Preprocessing.of(Augmentation(), kind, 32))(png(image)), image
        )
        resized = evaluation_transform(Preprocessing.of(Augmentation(evaluation_edge=448), kind, 32))(
            png(image)
        ).numpy()
        assert np.allclose(resized, crops.resize(tf.constant(image), 64, 64)[16:48, 16:48], atol=1e-3)


def test_training_with_bicubic_is_pillows():
    photograph = Image.fromarray(FLOWER).resize((120, 100))
    augment = training_transform(
        Augmentation(interpolation="bicubic", flip=False), "photographs", 32, (0, 0, 0)
    )
    for seed in seeds(8):
        chance = tf.random.stateless_uniform([2 * crops.ATTEMPTS + 3], seed)
        top, left, height, width = crops.window(tf.constant([100, 120, 3]), chance[1:], *CROPS).numpy()
        crop = photograph.crop((left, top, left + width, top + height))
        expected = np.array(crop.resize((32, 32), Image.Resampling.BICUBIC), int)
        difference = np.abs(augment(png(photograph), seed).numpy() - expected)
        assert difference.mean() < 0.4 and difference.max() < 6


def test_rand_augment_fills_with_the_mean():
    white = png(np.full((16, 16, 3), 255))
    mean = (100.4, 80.0, 60.6)
    augment = training_transform(
        Augmentation(rand_augment="rand-m10-inc1-n1-p1", flip=False), "digits", 16, mean
    )
    colours = {
        tuple(c) for seed in seeds(60) for c in np.unique(augment(white, seed).numpy().reshape(-1, 3), axis=0)
    }
    assert (100, 80, 61) in colours


PIECE = tf.constant(FLOWER[200:230, 300:340])


def test_color_jitter_is_a_chain_in_any_order():
    one = {
        0: lambda x, f: operations.brightness(x, f),
        1: lambda x, f: operations.contrast(x, f),
        2: lambda x, f: operations.color(x, f),
    }
    orders = set()
    for seed in seeds(30):
        order, chance = tf.random.stateless_uniform([2, 3], seed).numpy()
        expected = PIECE
        for step, which in enumerate(np.argsort(order)):
            low, high = [(0.6, 1.4), (0.5, 1.5), (0.0, 3.0)][which]
            expected = one[which](expected, tf.constant(low + (high - low) * chance[step], tf.float32))
        orders.add(tuple(np.argsort(order)))
        got = jitter.color_jitter(PIECE, seed, (0.4, 0.5, 2.0, 0.0))
        assert np.abs(got.numpy().astype(int) - expected.numpy()).max() <= 1
    assert len(orders) == 6


def test_jitter_of_hue_alone_and_of_hsv():
    assert np.array_equal(
        jitter.hsv_jitter(PIECE, seeds(1)[0], (0, 0, 0)), operations.hsv(PIECE, 0.0, 1.0, 1.0)
    )
    turns = []
    for seed in seeds(40):
        chance = tf.random.stateless_uniform([2, 1], seed)[1, 0]
        turns.append(0.4 * float(chance) - 0.2)
        got = jitter.color_jitter(PIECE, seed, (0, 0, 0, 0.2))
        assert np.array_equal(got, operations.hsv(PIECE, -0.2 + 0.4 * chance, 1.0, 1.0))
    assert min(turns) < -0.15 and max(turns) > 0.15
    hues, values = zip(*((hsv_of(jitter.hsv_jitter(PIECE, s, (0, 0, 0.5)))) for s in seeds(30)), strict=True)
    hue, value = hsv_of(PIECE)
    assert np.ptp(hues) < 2 and np.abs(np.array(hues) - hue).max() < 2
    assert min(values) < 0.7 * value and max(values) > 1.15 * value


def hsv_of(image):
    """Medians of hue and value."""
    bands = Image.fromarray(np.array(image)).convert("HSV").split()
    return np.median(bands[0]), np.median(bands[2])


def test_lighting_is_imagenets_principal_components():
    image = tf.fill([1, 1, 3], 128.0)
    many = tf.constant([[7, i] for i in range(3000)], tf.int64)
    draw = tf.function(lambda: tf.map_fn(lambda s: jitter.lighting(image, s, 0.1), many, tf.float32))
    shifts = draw().numpy()[:, 0, 0] - 128
    components, deviations = np.array(jitter.COMPONENTS), np.array(jitter.DEVIATIONS)
    assert np.allclose(components.T @ components, np.eye(3), atol=2e-3)
    covariance = components @ np.diag((0.1 * deviations) ** 2) @ components.T
    assert np.allclose(np.cov(shifts.T), covariance, atol=0.08 * covariance.max())
    assert np.abs(shifts.mean(0)).max() < 0.3
    assert jitter.lighting(tf.fill([1, 1, 3], 255.0), seeds(1)[0], 5.0).numpy().max() <= 255


def plan(steps=2000, size=40, mixup=0.0, cutmix=0.0):
    return mixing.plan(np.random.default_rng(0), steps, size, mixup, cutmix)


def test_shares_are_betas():
    for alpha in (0.2, 1.0, 4.0):
        drawn = plan(mixup=alpha)
        assert not drawn["cut"].any() and abs(drawn["share"].mean() - 0.5) < 0.03
        assert drawn["share"].var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
    both = plan(mixup=0.8, cutmix=1.0)
    assert abs(both["cut"].mean() - 0.5) < 0.05


def test_boxes_have_the_share_that_the_label_says():
    drawn = plan(cutmix=1.0)
    assert drawn["cut"].all()
    top, left, bottom, right = drawn["box"].T
    assert min(top.min(), left.min()) >= 0 and max(bottom.max(), right.max()) <= 40
    assert np.allclose(drawn["share"], 1 - (bottom - top) * (right - left) / 1600, atol=1e-6)
    inner = (top > 0) & (left > 0) & (bottom < 40) & (right < 40)
    assert inner.any() and np.array_equal((bottom - top)[inner], (right - left)[inner])
    assert abs((top + bottom)[inner].mean() / 2 - 20) < 1


@pytest.mark.parametrize("cut", [False, True])
def test_mixing_takes_neighbours(cut):
    images = np.random.default_rng(1).random((5, 8, 8, 3)).astype(np.float32)
    how = {"cut": tf.constant(cut), "share": tf.constant(0.625), "box": tf.constant([2, 1, 6, 7])}
    mixed, labels = mixing.mix(tf.constant(images), tf.constant([0, 1, 2, 2, 1]), 3, how)
    others = images[[1, 0, 3, 2, 4]]
    expected = 0.625 * images + 0.375 * others
    if cut:
        expected = images.copy()
        expected[:, 2:6, 1:7] = others[:, 2:6, 1:7]
    assert np.allclose(mixed, expected, atol=1e-6)
    assert np.allclose(labels, [[0.625, 0.375, 0], [0.375, 0.625, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]])


def test_partners():
    assert mixing.partners(4).tolist() == [1, 0, 3, 2]
    # Copies of an image are not mixed with each other.
    assert mixing.partners(10, 3).tolist() == [5, 4, 3, 2, 1, 0, 9, 8, 7, 6]


def test_a_soft_label_in_words():
    names = ("cat", "dog", "emu")
    assert mixing.describe(np.array([0, 1.0, 0]), names) == "dog"
    assert mixing.describe(np.array([0.3, 0, 0.7]), names) == "emu 0.70, cat 0.30"


def test_read_image_follows_the_augmentation(tmp_path):
    Image.fromarray(FLOWER).save(tmp_path / "a.png")
    settings = Augmentation(interpolation="bicubic", evaluation_edge=235)
    got = data.read_image(tmp_path / "a.png", "photographs", 56, settings)
    assert np.array_equal(
        got, evaluation_transform(Preprocessing.of(settings, "photographs", 56))(png(FLOWER))
    )
    assert not np.allclose(got, data.read_image(tmp_path / "a.png", "photographs", 56))
