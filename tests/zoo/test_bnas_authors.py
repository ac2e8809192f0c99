"""BNAS against its authors' code: golden numbers always, the code itself where it has been fetched."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import weights
from bnn_keras.nn.drop_path import ends_of_paths
from bnn_keras.training import optimizers
from tests.zoo import bnas_authors as authors
from tests.zoo import oracle
from zoo import recipes
from zoo.checkpoints import bnas

TOLERANCE = 1e-9
CLIPPED = 0.5  # largest norm of a gradient, smaller than those of the network's steps
ZERO = 1e-12  # gradients that are 0 but for rounding, as a share of the largest: shifts before a BatchNorm
runs_the_code = oracle.runs_the_code(authors.SOURCE)
pytestmark = pytest.mark.usefixtures("float64")


def build(case):
    """Our network for a case."""
    shape = (case.size, case.size, 3)
    return zoo.build(
        case.name, shape, case.classes, normalization="none", released_slip=True, **case.settings
    )


def naming(model):
    """The names of the state dict that a network of ours has."""
    # The keys that tell the two forms of the network apart.
    reductions = [layer.name for layer in model.layers if layer.name.endswith("shortcut_conv")]
    marks = [f"cells.{int(name[4:].split('/')[0]) - 1}.preprocess1_red.bn.weight" for name in reductions]
    marks = ["stem0.0.weight", *marks] if any(layer.name == "stem/conv1" for layer in model.layers) else []
    return bnas.naming(dict.fromkeys(marks, np.zeros(1)))


def fill(model, case, exact=False):
    """Give our network the random weights that its keys stand for."""
    shapes = {entry.key: entry.shape for entry in oracle.entries(model, naming(model)).values()}
    state = authors.random_state(case, shapes, exact)
    return oracle.fill(model, bnas.naming(state), state)


def train(case, model):
    """The loss of the first step, and its gradients by key."""
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        outputs = model(oracle.images(case, authors.BATCH), training=True)
        loss = loss_of(oracle.labels(case, authors.BATCH), outputs)
    gradients = tape.gradient(loss, model.trainable_variables)
    return float(loss), oracle.by_key(model, naming(model), gradients)


# The first one has no layer that the others do not have.
@pytest.mark.parametrize(
    "case", [pytest.param(authors.QUICK[0], marks=pytest.mark.large), *authors.QUICK[1:]], ids=str
)
def test_logits_loss_and_gradients(case):
    known, model = authors.golden(case), build(case)
    oracle.check_logits(case, fill(model, case), np.array(known["logits"]), known["range"])
    loss, gradients = train(case, fill(model, case, exact=True))
    assert loss == pytest.approx(known["loss"], rel=TOLERANCE)
    assert set(gradients) <= set(known["gradients"])
    zero = ZERO * max(norm for norm, _ in known["gradients"].values())
    for key, array in gradients.items():
        norm, projection = known["gradients"][key]
        near = max(TOLERANCE * norm, zero)
        assert oracle.digest(key, array) == pytest.approx([norm, projection], rel=0, abs=near), key


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
    outputs = authors.logits(network, binary, oracle.images(case))
    oracle.check_logits(case, model, outputs, np.ptp(outputs))


def check_gradients(ours, wanted):
    zero = ZERO * max(np.abs(array).max() for array in wanted.values())
    for key, array in ours.items():
        near = max(TOLERANCE * np.abs(wanted[key]).max(), zero)
        assert np.abs(array - wanted[key]).max() <= near, key
    # What ours lacks are the layers that only zeroise would use.
    assert all(bnas.UNUSED.fullmatch(key) and not wanted[key].any() for key in wanted.keys() - ours.keys())


@runs_the_code
@pytest.mark.large
@pytest.mark.parametrize("drops", [False, True], ids=["", "drop path"])
@pytest.mark.parametrize("case", authors.QUICK, ids=str)
def test_a_step_of_the_code_itself(case, drops):
    pytest.importorskip("torch", reason="torch runs the authors' code")
    loss, wanted = authors.train(case, *authors.build(case, exact=True), drops)
    model = fill(build(case), case, exact=True)
    for layer in ends_of_paths(model) if drops else []:
        layer.factors = lambda name, inputs: authors.drop_factors(name, len(inputs))
    ours, gradients = train(case, model)
    assert ours == pytest.approx(loss, rel=TOLERANCE)
    check_gradients(gradients, wanted)


@runs_the_code
@pytest.mark.large
@pytest.mark.parametrize("name", ["bnas_cifar10", "bnas"])
def test_the_steps_of_an_optimizer(name):
    """Ours takes their gradients: once a sum of signs is 0 but for rounding, a network has others."""
    pytest.importorskip("torch", reason="torch runs the authors' code")
    case, recipe = authors.QUICK[0], recipes.load(name)
    recipe = recipe.override(epochs=4 if recipe.restart_epochs is None else 10)
    if recipe.clip_norm:
        recipe = recipe.override(clip_norm=CLIPPED)
    model = fill(build(case), case)
    names, variables = naming(model), model.trainable_variables
    optimizer = optimizers.optimizer_of(recipe, steps_per_epoch=authors.STEPS // 4)
    optimizer.build(variables)
    keys = list(oracle.weights_by_key(model, names))
    clip_norm = recipe.clip_norm or np.inf
    for gradients, after in authors.optimize(case, *authors.build(case), recipe.schedule, clip_norm):
        found = [oracle.ours(gradients[key]) for key in keys]
        optimizer.apply_gradients(zip(found, variables, strict=True))
        for key, array in oracle.weights_by_key(model, names).items():
            assert np.abs(array - after[key]).max() <= TOLERANCE * np.abs(after[key]).max(), key
