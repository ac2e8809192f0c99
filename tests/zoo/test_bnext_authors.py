"""BNext against its authors' code: golden numbers always, the code itself where it has been fetched."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import weights
from bnn_keras.training import optimizers
from bnn_keras.weights import torch_names
from tests.zoo import bnext_authors as authors
from zoo import recipes
from zoo.checkpoints import bnext

LOGITS, GRADIENTS, WEIGHTS = 1e-9, 1e-6, 1e-7
runs_the_code = pytest.mark.skipif(
    authors.SOURCE not in os.environ, reason=f"{authors.SOURCE} names no folder with the authors' code"
)


@pytest.fixture(autouse=True)
def float64():
    tf.keras.backend.set_floatx("float64")
    yield
    tf.keras.backend.set_floatx("float32")
    tf.keras.backend.clear_session()


def build(case):
    """Our network for a case."""
    settings = {"elm_attention": case.elm_attention, "info_recoupling": case.info_recoupling}
    settings |= {} if case.classes == 1000 else {"stem": "thumbnail"}
    settings |= {"widths": authors.SMALL} if case.name == "small" else {}
    name = "bnext_t" if case.name == "small" else case.name
    shape = (case.size, case.size, 3)
    return zoo.build(name, shape, case.classes, normalization="none", **settings)


def naming(case):
    """The names of the state dict that a case has."""
    marks = ["layer0.0.Attention.binary_conv.weight"] if case.name == "bnext18" else []
    marks += [] if case.elm_attention else ["feature.1.FFN_3x3.scale"]
    return bnext.naming(dict.fromkeys(marks, np.zeros(1)))


def entries(case, model):
    """Every key that our network asks for, by the variable that it is for."""
    names = naming(case)
    return {
        id(getattr(variable, "latent_variable", variable)): entry
        for layer in model.layers
        if layer.weights
        for variable, entry in zip(
            layer.weights, torch_names.entries(layer, names.module(layer.name)), strict=True
        )
    }


def filled(case, clipped=False):
    """Our network with the random weights that its keys stand for."""
    model = build(case)
    state = {
        e.key: authors.random_array(e.key, e.shape, case.temperature) for e in entries(case, model).values()
    }
    state = authors.trainable(state) if clipped else state
    arrays = naming(case).arrays(model, state, Path("state"), new_head=False)
    for name, values in arrays.items():
        model.get_layer(name).set_weights(values)
    return model


def theirs(entry, array):
    """One of our arrays in their layout."""
    if array.ndim == 4 and array.shape[:3] != (1, 1, 1):
        return array.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1]
    return (array.T if array.ndim == 2 else array).reshape(entry.shape)


def check_logits(case, model, wanted, spread):
    ours = model(authors.images(case)).numpy()[:, : wanted.shape[1]]
    assert np.abs(ours - wanted).max() <= LOGITS * spread


def check_golden(case):
    known = authors.golden(case)
    check_logits(case, filled(case), np.array(known["logits"]), known["range"])


def usual(case):
    """Whether a case stands for others by default: both networks and forms, all of their parts and none."""
    parts = case.elm_attention, case.info_recoupling
    return case.classes == 1000 or (case.name == "small" and parts in ((True, True), (False, False)))


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=() if usual(c) else pytest.mark.large) for c in authors.QUICK], ids=str
)
def test_logits(case):
    check_golden(case)


@pytest.mark.large
@pytest.mark.parametrize("case", authors.FULL, ids=str)
def test_logits_of_full_size(case):
    check_golden(case)


def train(case, model, number=4, steps=authors.STEPS):
    """Our training with BNext's recipe on one batch."""
    plain = {"warmup_epochs": 0, "warmup_learning_rate": 0.0, "final_learning_rate": 0.0}
    recipe = recipes.load("bnext").replace(schedule="constant", **plain)
    optimizer = optimizers.optimizer_of(recipe, steps_per_epoch=1)
    optimizer.build(model.trainable_variables)
    images, labels = authors.images(case, number), authors.labels(case, number)
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss, gradients

    first = step()
    for _ in range(steps - 1):
        step()
    keys = entries(case, model)
    found = [keys[id(getattr(v, "latent_variable", v))] for v in model.trainable_variables]
    gradients = {e.key: theirs(e, g.numpy()) for e, g in zip(found, first[1], strict=True)}
    after = {
        e.key: theirs(e, getattr(v, "latent_variable", v).numpy())
        for e, v in zip(found, model.trainable_variables, strict=True)
    }
    return float(first[0]), gradients, after


def check_training(case):
    known = authors.golden(case)["training"]
    loss, gradients, after = train(case, filled(case, clipped=True))
    assert loss == pytest.approx(known["loss"], rel=1e-12)
    assert set(gradients) == set(known["gradients"])
    for key, array in gradients.items():
        norm, projection = known["gradients"][key]
        ours = authors.digest(key, array)
        assert ours == pytest.approx([norm, projection], rel=GRADIENTS, abs=GRADIENTS * norm), key
        ours = authors.digest(key, after[key])
        norm, projection = known["weights"][key]
        assert ours == pytest.approx([norm, projection], rel=WEIGHTS, abs=WEIGHTS * norm), key


@pytest.mark.large
def test_loss_gradients_and_ten_steps():
    check_training(authors.TRAINED[0])


@pytest.mark.large
def test_loss_gradients_and_ten_steps_of_bnext_t():
    check_training(authors.TRAINED[1])


@runs_the_code
@pytest.mark.large
@pytest.mark.parametrize("case", [*authors.QUICK, *authors.FULL], ids=str)
def test_the_code_itself_through_its_checkpoint(case, tmp_path):
    torch = pytest.importorskip("torch", reason="torch runs the authors' code")
    network = authors.build(case)
    path = tmp_path / "checkpoint.pth.tar"
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"epoch": 511, "best_top1_acc": np.float64(72.4), "state_dict": state}, path)
    model = build(case)
    said = weights.load(model, path)
    assert "epoch 511, best_top1_acc 72.4" in said
    outputs = authors.logits(network, authors.images(case))
    check_logits(case, model, outputs, np.ptp(outputs))


@runs_the_code
@pytest.mark.large
@pytest.mark.parametrize("case", authors.TRAINED, ids=str)
def test_training_of_the_code_itself(case):
    pytest.importorskip("torch", reason="torch runs the authors' code")
    loss, gradients, after = authors.train(case, authors.build(case))
    ours = train(case, filled(case, clipped=True))
    assert ours[0] == pytest.approx(loss, rel=1e-12)
    for key, array in gradients.items():
        assert np.abs(ours[1][key] - array).max() <= GRADIENTS * np.abs(array).max(), key
        assert np.abs(ours[2][key] - after[key]).max() <= WEIGHTS, key
