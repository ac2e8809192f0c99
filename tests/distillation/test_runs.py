"""Runs with teachers: killed and resumed, cached, in other precisions, and refused before they start."""

import contextlib
import dataclasses
import json
import multiprocessing
import signal

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import data, distillation, training
from bnn_keras.distillation.cache import Cache
from bnn_keras.distillation.teacher import Teacher
from bnn_keras.distillation.views import FixedViews
from bnn_keras.errors import UserError
from bnn_keras.nn import layers, quantizers
from bnn_keras.report import curves
from bnn_keras.runs import RunFolder, Table
from bnn_keras.settings.distillation import DistillationSettings
from bnn_keras.settings.kinds import parse_value
from bnn_keras.settings.recipe import Recipe
from tests import small_run
from zoo import registry

# With everything that a resumed run must continue: slots and decay of an optimizer, a schedule, the random
# mixtures of images, and a temperature that falls from where the weights' own stood.
RECIPE = Recipe(
    epochs=4, batch_size=16, optimizer="adamw", learning_rate=0.01, weight_decay=0.1, warmup_epochs=1,
    clip_norm=1.0, temperature_decay=0.5, mixup=0.2, label_smoothing=0.1,
)  # fmt: skip
STEPS = 4  # an epoch


def tiny(classes=10, convolution=layers.binary_conv):
    image = tf.keras.Input((32, 32, 3), name="image")
    x = tf.keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale/input")(image)
    x = tf.keras.layers.Conv2D(16, 3, strides=4, padding="same", name="stem")(x)
    x = tf.keras.layers.BatchNormalization(momentum=0.5, name="block/bn")(x)
    x = convolution(32, 3, strides=2, name="block/conv")(x)
    x = tf.keras.layers.BatchNormalization(momentum=0.5, name="block/end")(x)
    x = tf.keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(classes, name="head")(x), name="tiny")


def digits():
    return data.open("digits", train_examples=64)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Files of three teachers that disagree."""
    folder = tmp_path_factory.mktemp("teachers")
    for number in range(3):
        tf.keras.utils.set_random_seed(20 + number)
        tiny().save(folder / f"t{number}.keras")
    return [str(folder / f"t{number}.keras") for number in range(3)]


KINDS = {field.name: field.metadata["kind"] for field in dataclasses.fields(DistillationSettings)}


def settings(*words):
    """The settings that are written as NAME=VALUE."""
    given = dict(word.split("=", 1) for word in words)
    return DistillationSettings(**{name: parse_value(name, KINDS[name], given[name]) for name in given})


def prepare(*words, network=None, recipe=RECIPE):
    return distillation.prepare(settings(*words), network or tiny(), digits(), recipe, 3, registry)


def student():
    training.make_deterministic(3)
    return tiny(convolution=layers.progressive_conv)


def train(folder, *words, recipe=RECIPE, drawn=False, **options):
    """Train a student with teachers, and return its weights; with a report if `drawn`."""
    network = student()
    with contextlib.nullcontext() if drawn else small_run.no_report():
        distillation.train(settings(*words), registry, network, digits(), recipe, folder, seed=3, **options)
    return network.get_weights()


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def cooler(tmp_path_factory):
    """A file of weights whose temperature is no longer 1."""
    network = student()
    for quantizer in quantizers.progressive(network):
        quantizer.temperature.assign(0.5)
    path = tmp_path_factory.mktemp("weights") / "cooler.keras"
    network.save(path)
    return path


@pytest.fixture(scope="module")
def boosted(teachers, cooler, tmp_path_factory):
    """A run with a teacher and two assistants on two views, which nothing disturbs."""
    folder = tmp_path_factory.mktemp("runs") / "boosted"
    words = [f"teacher={teachers[0]}", f"assistants={teachers[1]},{teachers[2]}", "views=2"]
    return folder, words, train(folder, *words, weights=cooler, drawn=True)


def train_and_die(folder, words, weights):
    """Begin the run of `boosted`, and be killed after three steps of its third epoch."""
    lessons = prepare(*words)
    training.train(
        student(),
        lessons.dataset,
        RECIPE,
        folder,
        seed=3,
        settings=lessons.settings,
        weights=weights,
        checkpoint_steps=2,
        make_trainer=lessons.make_trainer,
        extra_callbacks=[*lessons.callbacks, small_run.Kill(["0:11"], folder)],
    )


@pytest.mark.large
def test_a_killed_run_ends_as_if_it_had_not_been_killed(boosted, cooler, tmp_path, capsys):
    """A real kill, a step after a checkpoint in the middle of the second assistant's part."""
    undisturbed, words, weights = boosted
    folder = tmp_path / "run"
    spawned = multiprocessing.get_context("spawn").Process
    process = spawned(target=train_and_die, args=(folder, words, cooler))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    # Of a process that is gone.
    (folder / f".best.{2**30}.partial.keras").write_text("what a kill leaves of a model")
    (folder / "checkpoints" / "ckpt-7_temp").mkdir()
    capsys.readouterr()
    again = train(folder, *words, weights=cooler, checkpoint_steps=3)
    shown = capsys.readouterr().out
    assert "resuming at epoch 3, step 2 (global step 10)" in shown
    assert f"assistant from epoch 3 on: {words[1].split(',')[1]} (2 of 2)" in shown
    assert same(again, weights)
    for name in ("model.keras", "best.keras"):
        assert same(small_run.weights_of(folder / name), small_run.weights_of(undisturbed / name))
    ours, expected = (small_run.rows(run / "history.csv", but=["seconds"]) for run in (folder, undisturbed))
    assert ours == expected
    assert [float(row["temperature"]) for row in ours] == [0.5, 0.25, 0.125, 0.0625]
    assert (folder / "flips.csv").read_text() == (undisturbed / "flips.csv").read_text()
    assert not [path for path in folder.rglob("*") if "partial" in path.name or "temp" in path.name]


@pytest.mark.large
def test_a_run_says_who_taught_when(boosted, teachers):
    folder, _, _ = boosted
    said = RunFolder(folder).read_config().distillation
    assert said["teacher"] == teachers[0] and said["assistants"] == teachers[1:]
    assert said["assistant_switches"] == [3]
    rows = Table(folder / "history.csv", ()).rows
    for row in rows:
        assert float(row["teacher_weight"]) + float(row["assistant_weight"]) == pytest.approx(1, abs=1e-5)
        assert float(row["teacher_loss"]) > 0 and float(row["assistant_loss"]) > 0
    saved = tf.keras.models.load_model(folder / "model.keras", compile=False)
    assert saved.count_params() == student().count_params()


@pytest.mark.large
def test_the_report_draws_who_taught_when(boosted):
    folder, _, _ = boosted
    drawn = curves.history_charts(Table(folder / "history.csv", ()), RunFolder(folder).read_config())
    shown = {chart.title: [line.label for line in chart.lines] for chart in drawn}
    assert shown["Training loss with teachers"] == [""] and shown["Cross-entropy"] == ["held-out"]
    assert shown["Loss for each teacher"] == shown["Weight of each teacher"] == ["teacher", "assistant"]
    assert all(chart.marks == [3] and "marked at 3" in chart.description() for chart in drawn)
    assert "another assistant taught" in (folder / "report.html").read_text()


@pytest.mark.large
def test_another_teacher_makes_another_run(boosted, cooler, teachers):
    folder, words, _ = boosted
    with pytest.raises(UserError, match=f"its .*teacher is {teachers[0]}, asked for is {teachers[1]}"):
        train(folder, f"teacher={teachers[1]}", *words[1:], weights=cooler)


@pytest.mark.large
def test_cached_logits_teach_the_same(boosted, cooler, tmp_path, capsys):
    """They are chosen by the epoch, so that this also shows that the right assistant taught in `boosted`."""
    _, words, weights = boosted
    cache = tmp_path / "cache"
    assert same(train(tmp_path / "run", *words, f"cache_teacher={cache}", weights=cooler), weights)
    assert capsys.readouterr().out.count("computing the logits of") == 6
    files = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert len([path for path in files if path.suffix == ".logits"]) == 6
    prepare(*words, f"cache_teacher={cache}")
    assert "computing" not in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == files


def test_an_assistant_is_asked_only_for_the_views_of_its_part(teachers, tmp_path):
    assistants = f"assistants={teachers[1]},{teachers[2]}"
    recipe = RECIPE.replace(epochs=2)
    prepare(f"teacher={teachers[0]}", assistants, "views=2", f"cache_teacher={tmp_path}", recipe=recipe)
    found = sorted((path.parent.name[0], path.name) for path in tmp_path.rglob("*.logits"))
    own = {"0": [0, 1], "1": [0], "2": [1]}
    assert found == [(number, f"view{view}.logits") for number, views in own.items() for view in views]


def cached(tmp_path, teacher, dataset=None, batch_size=16, seed=3, views=1):
    dataset = FixedViews.from_dataset(dataset or digits(), views=views)
    return Cache(tmp_path, teacher, dataset, batch_size, seed)


def test_a_cache_that_does_not_fit_is_refused(tmp_path):
    tf.keras.utils.set_random_seed(1)
    teacher, other = Teacher("t", tiny()), Teacher("t", tiny())
    cached(tmp_path, teacher).prepare([0])
    cases = {
        "teacher_weights": cached(tmp_path, other),
        "teacher": cached(tmp_path, Teacher("u", teacher.network)),
        "train_examples": cached(tmp_path, teacher, data.open("digits", train_examples=80)),
        "batch_size": cached(tmp_path, teacher, batch_size=8),
        "seed": cached(tmp_path, teacher, seed=4),
    }
    for what, cache in cases.items():
        with pytest.raises(UserError, match=f"with {what}=.*, but this run needs {what}=.*--cache_teacher"):
            cache.prepare([0])
    key = json.loads((tmp_path / "key.json").read_text())
    (tmp_path / "key.json").write_text(json.dumps({**key, "first_batch": "other images"}))
    with pytest.raises(UserError, match="first_batch=other images, but this run needs"):
        cached(tmp_path, teacher).prepare([0])
    (tmp_path / "key.json").write_text("{")
    with pytest.raises(UserError, match="key.json is not a whole JSON file"):
        cached(tmp_path, teacher).prepare([0])


def test_a_damaged_cache_is_refused(tmp_path):
    cache = cached(tmp_path, Teacher("t", tiny()))
    cache.prepare([0])
    content = cache.file(0).read_bytes()
    assert len(content) == 64 * 10 * 4
    cache.file(0).write_bytes(content[:-1])
    with pytest.raises(UserError, match="view0.logits is damaged: it has 2559 bytes instead of 2560"):
        cache.prepare([0])


def test_cached_logits_are_those_of_their_images(teachers, tmp_path):
    lessons = prepare(f"teacher={teachers[0]}", "views=2", f"cache_teacher={tmp_path}")
    teacher = tf.keras.models.load_model(teachers[0], compile=False)
    for epoch, skip, part in ((0, 0, (0, 1)), (1, 0, (0, 1)), (3, 2, (0, 1)), (1, 1, (1, 2))):
        batches = list(lessons.dataset.train(16, epoch, 3, skip, part))
        assert len(batches) == STEPS - skip
        for inputs, labels in batches:
            assert inputs["knowledge"].shape == (16 // part[1], 1, 10) and labels.shape == (16 // part[1],)
            np.testing.assert_allclose(
                inputs["knowledge"][:, 0], teacher(inputs["image"]), rtol=1e-4, atol=1e-4
            )
        assert int(lessons.dataset.train(16, epoch, 3, skip, part).cardinality()) == STEPS - skip


def test_views_come_back():
    views = prepare("views=2").dataset
    first, second, third = (next(iter(views.train(16, epoch, 3)))[1].numpy() for epoch in range(3))
    assert np.array_equal(first, third) and not np.array_equal(first, second)


def test_without_a_teacher_nothing_changes():
    images = digits()
    found = distillation.prepare(settings(), tiny(), images, RECIPE, 3, registry)
    assert found == distillation.Lessons(images)


def test_attention_in_bfloat16(teachers, tmp_path):
    train(
        tmp_path,
        f"teacher={teachers[0]}",
        "attention_weight=0.5",
        "teacher_precision=bfloat16",
        "ensemble=released",
        "teacher_temperature=2",
        "label_weight=0.1",
        recipe=RECIPE.override(epochs=1),
    )
    said = RunFolder(tmp_path).read_config().distillation
    assert said["attention_stages"] == ["stem"] and said["ensemble"] == "released"
    assert (said["teacher_temperature"], said["label_weight"]) == (2, 0.1)
    (row,) = Table(tmp_path / "history.csv", ()).rows
    assert float(row["attention_loss"]) > 0 and float(row["teacher_weight"]) == 0.5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["label_weight=0.5"], "label_weight goes with teacher, which is not given"),
        (["assistants=x"], "assistants goes with teacher"),
        (["cache_teacher=x"], "cache_teacher goes with teacher"),
        (["views=0"], "views must be a whole number from 1 up, or none. Received: 0"),
        (["teacher=T", "ensemble=mean"], "ensemble must be one of paper, released. Received: 'mean'"),
        (["teacher=T", "teacher_temperature=0"], "temperature must be a number above 0. Received: 0"),
        (["teacher=T", "label_weight=1.5"], "label_weight must be a number from 0 to 1. Received: 1.5"),
        (["teacher=T", "attention_weight=-1"], "attention_weight must be a number from 0 up. Received: -1"),
        (["teacher=T", "attention_stages=a"], "goes with an attention_weight above 0"),
        (["teacher=T", "attention_weight=1", "cache_teacher=x"], "keeps logits only"),
        (["teacher=T", "attention_weight=1", "attention_stages=a"], "no feature map called 'a'"),
        (["teacher=T", "teacher_precision=int8"], "one of float32, bfloat16, float16. Received: 'int8'"),
        (["teacher=T", "assistants=T,T,T,T,T"], "5 assistants need at least 5 epochs. Received: 4"),
    ],
)
def test_flags_that_do_not_fit(words, sentence, teachers):
    words = [word.replace("=T", f"={teachers[0]}").replace(",T", f",{teachers[0]}") for word in words]
    with pytest.raises(UserError, match=sentence):
        prepare(*words)
