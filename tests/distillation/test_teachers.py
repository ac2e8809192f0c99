"""Where teachers come from: keras.applications, torchvision's files, our own; and what is refused."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import cli, data
from bnn_keras.data import imagenet
from bnn_keras.distillation import applications, sources
from bnn_keras.distillation.teacher import Teacher, in_precision, to_logits
from bnn_keras.errors import UserError
from tests.distillation.test_runs import tiny
from tests.runs.test_config import CONFIG
from tests.zoo.test_torchvision import GOLDEN, picture, save
from zoo import registry

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass
class Images:
    """As much of a data set as a teacher must fit."""

    class_names: tuple
    image_size: int = 64
    name: str = "pictures"
    normalization: str = "imagenet2012"


def four(size=64):
    return Images(("a", "b", "c", "d"), size)


def thousand(size=64):
    return Images(imagenet.identifiers(), size, "imagenet2012")


def test_a_torch_file_as_a_teacher(tmp_path):
    teacher = sources.read(f"resnet18={save('resnet18', tmp_path / 'resnet18.pth')}", four(), registry)
    np.testing.assert_allclose(teacher(tf.constant(picture(), tf.float32))[0][0], GOLDEN, atol=1e-3)


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    """A network of keras.applications for images of 96 pixels, and the file of its weights."""
    own = tf.keras.applications.MobileNet((96, 96, 3), weights=None, classifier_activation=None)
    path = tmp_path_factory.mktemp("mobilenet") / "own.h5"
    own.save_weights(path)
    return own, path


def test_a_file_of_keras_applications(mobilenet):
    """It sees the images of the student, in [0, 255], after its own preprocessing."""
    own, path = mobilenet
    module, _ = applications._modules()[applications._key("mobilenet")]
    teacher = sources.read(f"mobilenet={path}", thousand(96), registry)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)), tf.float32)
    np.testing.assert_allclose(
        teacher(images)[0], own(module.preprocess_input(images + 0)), rtol=1e-4, atol=1e-6
    )
    assert teacher.network.input_shape == (None, 96, 96, 3) and not teacher.network.trainable_weights
    assert teacher.accuracy is None


@pytest.mark.large
def test_published_efficientnets_hold_deviations_for_variances(tmp_path):
    """Keras divides by them once more, in the graph, if it fetched the file itself."""
    own = tf.keras.applications.EfficientNetB0(weights=None, classifier_activation=None)
    normal = tf.keras.layers.Normalization
    mean_variance_count = [np.array(value) for value in (MEAN, applications.DEVIATIONS, 0)]
    next(layer for layer in own.layers if isinstance(layer, normal)).set_weights(mean_variance_count)
    own.save_weights(tmp_path / "own.h5")
    teacher = sources.read(f"efficientnetb0={tmp_path / 'own.h5'}", thousand(), registry)
    core = next(layer for layer in teacher.network.layers if isinstance(layer, tf.keras.Model))
    image = tf.constant(picture(), tf.float32)
    output = next(layer for layer in core.layers if isinstance(layer, normal)).output
    seen = tf.keras.Model(core.inputs, output)(image)
    assert teacher.accuracy == 0.7753
    np.testing.assert_allclose(seen, (image / 255 - np.array(MEAN)) / np.array(STD), rtol=1e-4, atol=1e-5)


def test_any_name_of_keras_applications_is_known():
    for name in (
        "resnet50",
        "resnet101",
        "efficientnetb4",
        "convnext_tiny",
        "ConvNeXtTiny",
        "mobilenet_v3_small",
    ):
        assert applications.known(name)
    assert not applications.known("resnet34") and len(applications.names()) > 60


def test_the_network_is_missing(monkeypatch, tmp_path):
    """Weights that cannot be downloaded are reported in a sentence, and no file is left."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(UserError, match="published weights of mobilenet are not in ~/.keras/models and"):
        sources.read("mobilenet", thousand(), registry)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_published_weights_from_their_usual_place(mobilenet, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    place = tmp_path / ".keras" / "models"
    place.mkdir(parents=True)
    own, path = mobilenet
    shutil.copy(path, place / "mobilenet_1_0_224_tf.h5")
    teacher = sources.read("mobilenet", thousand(96), registry)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (1, 96, 96, 3)), tf.float32)
    np.testing.assert_allclose(teacher(images)[0], own(images / 127.5 - 1), rtol=1e-4, atol=1e-6)
    assert teacher.class_names[0] == "n01440764"


def test_ours_a_run_folder_and_a_file(tmp_path):
    tf.keras.utils.set_random_seed(1)
    own = tiny(4)
    run = tmp_path / "run"
    run.mkdir()
    own.save(run / "best.keras")
    (run / "config.json").write_text(CONFIG.to_json())
    (run / "labels.txt").write_text("a\nb\nc\nd\n")
    (run / "history.csv").write_text("epoch,val_accuracy\n1,0.5\n2,0.75\n3,0.6\n")
    teacher = sources.read(str(run), four(32), registry)
    assert teacher.accuracy == 0.75 and teacher.class_names == ("a", "b", "c", "d")
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(teacher(images)[0], own(images), rtol=1e-5, atol=1e-5)
    assert teacher.digest == sources.read(str(run / "best.keras"), four(32), registry).digest
    with pytest.raises(UserError, match="calls class 1 'b', pictures calls it 'x': a teacher must have been"):
        sources.read(str(run), Images(("a", "x", "c", "d"), 32), registry)


def test_another_image_size_is_resized_for():
    teacher = Teacher("t", tiny(4))
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)), tf.float32)
    wanted = teacher.network(tf.image.resize(images, (32, 32)))
    np.testing.assert_allclose(teacher(images)[0], wanted, rtol=1e-5, atol=1e-5)


def with_end(make):
    image = tf.keras.Input((8, 8, 3))
    x = tf.keras.layers.GlobalAveragePooling2D()(image)
    return tf.keras.Model(image, make(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: tf.keras.layers.Dense(4, activation="softmax", name="head")(x),
        lambda x: tf.keras.layers.Activation("softmax")(tf.keras.layers.Dense(4, name="head")(x)),
        lambda x: tf.keras.layers.Softmax()(tf.keras.layers.Dense(4, name="head")(x)),
    ],
)
def test_a_softmax_at_the_end_is_taken_off(make, tmp_path):
    network = with_end(make)
    network.save(tmp_path / "t.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    logits = sources.read(str(tmp_path / "t.keras"), four(8), registry)(images)[0]
    kernel, bias = network.get_layer("head").get_weights()
    np.testing.assert_allclose(logits, images.mean((1, 2)) @ kernel + bias, rtol=1e-4, atol=1e-4)


def test_lower_precision_keeps_binary_layers_and_logits_in_float32():
    network = to_logits(tiny())
    lowered = in_precision(network, "bfloat16")
    types = {layer.name: (layer.compute_dtype, layer.variable_dtype) for layer in lowered.layers}
    assert types["stem"] == types["block/bn"] == ("bfloat16", "float32")
    assert types["block/conv"] == types["head"] == ("float32", "float32")
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)), tf.float32)
    logits = Teacher("t", lowered)(images)[0]
    assert logits.dtype == tf.float32 and Teacher("t", lowered).digest != Teacher("t", network).digest
    assert [w.dtype for w in lowered.weights] == [tf.float32] * len(lowered.weights)
    # A convolution of the same signs is the same to the last bit.
    signs = tf.constant(np.random.default_rng(1).choice([-1.0, 1.0], (2, 4, 4, 16)), tf.float32)
    np.testing.assert_array_equal(*(n.get_layer("block/conv")(signs) for n in (network, lowered)))


def saved(network, path):
    network.save(path)
    return path


def test_teachers_that_are_refused(tmp_path):
    file = saved(tiny(4), tmp_path / "t.keras")
    (tmp_path / "broken.keras").write_bytes(file.read_bytes()[:1000])
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF")
    (tmp_path / "empty").mkdir()
    grey = tf.keras.Input((8, 8, 1))
    saved(tf.keras.Model(grey, tf.keras.layers.Flatten()(grey)), tmp_path / "grey.keras")
    cases = {
        str(file): (Images(("a", "b")), "has 4 classes, pictures has 2: a teacher must"),
        "resnet50": (four(), "The teacher resnet50 has 1000 classes, pictures has 4"),
        "convnext_tiny": (Images(tuple(map(str, range(1000)))), "calls class 0 'n01440764', pictures .* '0'"),
        "meliusnet22": (four(), "The teacher meliusnet22 has no weights: give meliusnet22=FILE"),
        "resnext": (four(), "Unknown teacher 'resnext'; valid: a run folder"),
        "resnext=file": (four(), "Unknown teacher 'resnext=file'"),
        str(tmp_path / "empty"): (four(), "No best.keras in"),
        str(tmp_path / "broken.keras"): (four(), "broken.keras is not a whole .keras file"),
        f"mobilenet={tmp_path}/broken.h5": (thousand(), "broken.h5 is damaged or does not hold the weights"),
        f"mobilenet={tmp_path}/none.h5": (thousand(), "No such file: .*none.h5"),
        f"resnet18={tmp_path}/none.pth": (four(), "No such file or folder: .*none.pth"),
        str(tmp_path / "grey.keras"): (four(), "a teacher maps images in RGB"),
    }
    for text, (dataset, sentence) in cases.items():
        with pytest.raises(UserError, match=sentence) as raised:
            sources.read(text, dataset, registry)
        assert str(raised.value).count(". ") == 0 or "Received" in str(raised.value), text


def test_a_teacher_of_other_classes_ends_the_command_before_training(tmp_path, capsys):
    teacher = saved(tiny(4), tmp_path / "t.keras")
    words = ["train", "--model=birealnet18", "--set=blocks=1", "--set=channels=32", "--train_examples=64"]
    assert cli.run([*words, f"--teacher={teacher}", f"--output_dir={tmp_path}/run"]) == 2
    shown = capsys.readouterr().err.strip().splitlines()[-1]
    assert shown.startswith("error: The teacher ") and "has 4 classes, digits has 10" in shown
    assert not (tmp_path / "run").exists()
    assert data.open("digits").class_names == tuple("0123456789")
