"""BNAS against its authors' code: golden numbers always, the code itself where it has been fetched."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import weights
from bnn_keras.weights import torch_names
from tests.zoo import bnas_authors as authors
from zoo.checkpoints import bnas

TOLERANCE = 1e-9
ZERO = 1e-12  # gradients that are 0 but for rounding, as a share of the largest: shifts before a BatchNorm
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
    shape = (case.size, case.size, 3)
    return zoo.build(
        case.name, shape, case.classes, normalization="none", released_slip=True, **case.settings
    )


def entries(model):
    """Every key that our network asks for, by the variable that it is for."""
    # The keys that tell the two forms of the network apart.
    reductions = [layer.name for layer in model.layers if layer.name.endswith("shortcut_conv")]
    marks = [f"cells.{int(name[4:].split('/')[0]) - 1}.preprocess1_red.bn.weight" for name in reductions]
    marks = ["stem0.0.weight", *marks] if any(layer.name == "stem/conv1" for layer in model.layers) else []
    names = bnas.naming(dict.fromkeys(marks, np.zeros(1)))
    return {
        id(getattr(variable, "latent_variable", variable)): entry
        for layer in model.layers
        if layer.weights
        for variable, entry in zip(
            layer.weights, torch_names.entries(layer, names.module(layer.name)), strict=True
        )
    }


def fill(model, case, exact=False):
    """Give our network the random weights that its keys stand for."""
    shapes = {entry.key: entry.shape for entry in entries(model).values()}
    state = authors.random_state(case, shapes, exact)
    arrays = bnas.naming(state).arrays(model, state, Path("state"), new_head=False)
    for name, values in arrays.items():
        model.get_layer(name).set_weights(values)
    return model


def check_logits(case, model, wanted, spread):
    ours = model(authors.images(case)).numpy()[:, : wanted.shape[1]]
    assert np.abs(ours - wanted).max() <= TOLERANCE * spread


def train(case, model):
    """The loss of the first step, and its gradients in the authors' layout by key."""
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        outputs = model(authors.images(case, authors.BATCH), training=True)
        loss = loss_of(authors.labels(case, authors.BATCH), outputs)
    keys, variables = entries(model), model.trainable_variables
    gradients = tape.gradient(loss, variables)
    found = [keys[id(getattr(variable, "latent_variable", variable))] for variable in variables]
    return float(loss), {e.key: theirs(g.numpy()) for e, g in zip(found, gradients, strict=True)}


def theirs(array):
    return array.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1] if array.ndim == 4 else array.T


@pytest.mark.parametrize("case", authors.QUICK, ids=str)
def test_logits_loss_and_gradients(case):
    known, model = authors.golden(case), build(case)
    check_logits(case, fill(model, case), np.array(known["logits"]), known["range"])
    loss, gradients = train(case, fill(model, case, exact=True))
    assert loss == pytest.approx(known["loss"], rel=TOLERANCE)
    assert set(gradients) <= set(known["gradients"])
    zero = ZERO * max(norm for norm, _ in known["gradients"].values())
    for key, array in gradients.items():
        norm, projection = known["gradients"][key]
        near = max(TOLERANCE * norm, zero)
        assert authors.digest(key, array) == pytest.approx([norm, projection], rel=0, abs=near), key


@runs_the_code
@pytest.mark.large
@pytest.mark.parametrize("case", [*authors.QUICK, *authors.FULL], ids=str)
def test_the_code_itself_through_its_checkpoint(case, tmp_path):
    torch = pytest.importorskip("torch", reason="torch runs the authors' code")
    network, binary = authors.build(case)
    path = tmp_path / "weights.pt"
    torch.save(network.state_dict(), path)
    model = build(case)
    weights.load(model, path)
    outputs = authors.logits(network, binary, authors.images(case))
    check_logits(case, model, outputs, np.ptp(outputs))


@runs_the_code
@pytest.mark.large
@pytest.mark.parametrize("case", authors.QUICK, ids=str)
def test_a_step_of_the_code_itself(case):
    pytest.importorskip("torch", reason="torch runs the authors' code")
    loss, wanted = authors.train(case, *authors.build(case, exact=True))
    ours, gradients = train(case, fill(build(case), case, exact=True))
    assert ours == pytest.approx(loss, rel=TOLERANCE)
    zero = ZERO * max(np.abs(array).max() for array in wanted.values())
    for key, array in gradients.items():
        near = max(TOLERANCE * np.abs(wanted[key]).max(), zero)
        assert np.abs(array - wanted[key]).max() <= near, key
    # What ours lacks are the layers that only zeroise would use.
    assert all(
        bnas.UNUSED.fullmatch(key) and not wanted[key].any() for key in wanted.keys() - gradients.keys()
    )
