"""BNext against its authors' code: golden numbers always, the code itself where it has been fetched."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import weights
from bnn_keras.training import optimizers
from tests.zoo import bnext_authors as authors
from tests.zoo import oracle
from zoo import recipes
from zoo.checkpoints import bnext

GRADIENTS, WEIGHTS = 1e-6, 1e-7
runs_the_code = oracle.runs_the_code(authors.SOURCE)
pytestmark = pytest.mark.usefixtures("float64")


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


def filled(case, clipped=False):
    """Our network with the random weights that its keys stand for."""
    model, names = build(case), naming(case)
    shapes = {entry.key: entry.shape for entry in oracle.entries(model, names).values()}
    state = {key: authors.random_array(key, shape, case.temperature) for key, shape in shapes.items()}
    return oracle.fill(model, names, authors.trainable(state) if clipped else state)


def check_golden(case):
    known = authors.golden(case)
    oracle.check_logits(case, filled(case), np.array(known["logits"]), known["range"])


def usual(case):
    """Whether a case stands for others by default: both networks, with all of their parts."""
    return case.classes == 10 and case.elm_attention and case.info_recoupling


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
    images, labels = oracle.images(case, number), oracle.labels(case, number)
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
    names = naming(case)
    return float(first[0]), oracle.by_key(model, names, first[1]), oracle.weights_by_key(model, names)


def check_training(case):
    known = authors.golden(case)["training"]
    loss, gradients, after = train(case, filled(case, clipped=True))
    assert loss == pytest.approx(known["loss"], rel=1e-12)
    assert set(gradients) == set(known["gradients"])
    for key, array in gradients.items():
        norm, projection = known["gradients"][key]
        ours = oracle.digest(key, array)
        assert ours == pytest.approx([norm, projection], rel=GRADIENTS, abs=GRADIENTS * norm), key
        ours = oracle.digest(key, after[key])
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
    outputs = authors.logits(network, oracle.images(case))
    oracle.check_logits(case, model, outputs, np.ptp(outputs))


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
