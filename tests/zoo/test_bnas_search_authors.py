"""The search of BNAS against its authors' code: golden numbers always, the code itself where it is there."""

import re

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.nn import scaled_sign
from bnn_keras.search import genotypes
from bnn_keras.search.searcher import Searcher
from bnn_keras.settings.search import SearchSettings
from bnn_keras.training import objective, optimizers, schedules
from tests.search import small_search
from tests.zoo import bnas_search_authors as authors
from tests.zoo import oracle
from zoo import bnas_search, recipes
from zoo.bnas_search import EDGES, Kernel, slipped
from zoo.genotype import CONVOLUTIONS

TOLERANCE = 1e-9
ZERO = 1e-12  # gradients that are 0 but for rounding, as a share of the largest
STEM = {"stem/bn": "stem.bn", "stem/conv": "stem.op.0", "head": "classifier"}
WEIGHTS = {"gamma": "weight", "beta": "bias", "kernel": "weight", "bias": "bias"}
runs_the_code = oracle.runs_the_code(authors.SOURCE)
pytestmark = pytest.mark.usefixtures("float64")


def keys_of(layer, cells):
    """The authors' modules that a layer of ours stands for, each with its part of the filters."""
    if layer in STEM:
        return [STEM[layer]]
    number, part = re.fullmatch(r"cell(\d+)/(.*)", layer).groups()
    cell = f"cells.{int(number) - 1}"
    if part.startswith("shortcut"):
        return [f"{cell}.preprocess_res.{'1' if part.endswith('conv') else '0'}"]
    if part.startswith("input"):
        return [f"{cell}.preprocess{part[5]}.op.0"]
    source, operation, has_slip = re.fullmatch(r"node(\d)_(\w+?)(_32_bits)?_conv", part).groups()
    rows = [row for row, edge in enumerate(EDGES) if edge[0] == int(source)]
    slips = slipped(cells)
    mine = [row for row in rows if (Kernel(int(number), EDGES[row], operation) in slips) == bool(has_slip)]
    column = authors.THEIRS.index(authors.OPERATIONS[operation])
    return [f"{cell}._ops.{row}._ops.{column}.op.0" for row in mine]


def trained_by_key(model, cells):
    """For every trained weight of our network: the variable, and the keys that it holds side by side."""
    found = []
    for layer in model.layers:
        for variable in layer.trainable_weights:
            kind = WEIGHTS[variable.name.split("/")[-1].removesuffix(":0")]
            found.append((oracle.latent(variable), [f"{key}.{kind}" for key in keys_of(layer.name, cells)]))
    return found


def theirs(array):
    return array.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1] if array.ndim == 4 else array.T


def parts(array, keys):
    """An array of ours as the authors' arrays by key."""
    return dict(zip(keys, np.split(theirs(np.asarray(array)), len(keys)), strict=True))


def build(case):
    """Our searcher with the same weights and scores."""
    shape = (case.size, case.size, 3)
    settings = {"cells": case.cells, "channels": case.channels, "released_slip": True}
    model = bnas_search.build(shape, case.classes, "none", **settings)
    made = Searcher(model, bnas_search.space(), SearchSettings(**settings, released_diversity=True))
    recipe = recipes.load("bnas_search")
    made.compile(optimizers.optimizer_of(recipe, 1), objective.CrossEntropy(), run_eagerly=True)
    made.epoch.assign(case.epoch)
    for variable, keys in trained_by_key(model, case.cells):
        shape = theirs(np.zeros(variable.shape)).shape
        each = (shape[0] // len(keys), *shape[1:])
        state = authors.random_state(dict.fromkeys(keys, each))
        whole = np.concatenate([state[key] for key in keys])
        variable.assign(oracle.ours(whole))
    for form, scores in made.scores.items():
        scores.assign(authors.scores(form))
    return made


def step(case, made):
    """What `Authors.step` gives, by ours."""
    (search_images, search_labels), (images, labels) = authors.batches(case)
    seen = {}
    keep(made.optimizer, "weights", seen)
    keep(made.score_optimizer, "scores", seen)
    pairs = (images, search_images), (labels, search_labels)
    made.train_step(tf.nest.map_structure(tf.constant, pairs))
    gradients = {}
    for variable, keys in trained_by_key(made.network, case.cells):
        gradients |= parts(seen["weights"][variable.ref()], keys)
    of_scores = {form: seen["scores"][scores.ref()].numpy() for form, scores in made.scores.items()}
    return float(made.compiled_loss.metrics[0].result()), gradients, of_scores


def keep(optimizer, name, seen):
    """Note the gradients that an optimizer gets."""
    apply = optimizer.apply_gradients

    def noting(pairs, *arguments, **options):
        pairs = list(pairs)
        seen[name] = {oracle.latent(v).ref(): g for g, v in pairs}
        return apply(pairs, *arguments, **options)

    optimizer.apply_gradients = noting


@pytest.mark.parametrize(
    "case", [authors.QUICK[0], pytest.param(authors.QUICK[1], marks=pytest.mark.large)], ids=str
)
def test_loss_and_gradients(case):
    known = authors.golden(case)
    loss, gradients, of_scores = step(case, build(case))
    assert loss == pytest.approx(known["loss"], rel=TOLERANCE)
    assert set(gradients) == set(known["gradients"])
    zero = ZERO * max(norm for norm, _ in known["gradients"].values())
    for key, array in gradients.items():
        norm, projection = known["gradients"][key]
        near = max(TOLERANCE * norm, zero)
        assert oracle.digest(key, array) == pytest.approx([norm, projection], rel=0, abs=near), key
    for form, wanted in known["scores"].items():
        assert_near(of_scores[form], np.array(wanted))


def assert_near(ours, wanted, zero=0.0):
    near = max(TOLERANCE * np.abs(wanted).max(), zero)
    assert np.abs(ours - wanted).max() <= near


@runs_the_code
@pytest.mark.large
@pytest.mark.parametrize("case", [*authors.QUICK, *authors.LARGE], ids=str)
def test_a_step_of_the_code_itself(case):
    """Loss, gradients, and what both optimizers make of them."""
    pytest.importorskip("torch", reason="torch runs the authors' code")
    other, made = authors.Authors(case), build(case)
    loss, wanted, wanted_scores = other.step()
    ours, gradients, of_scores = step(case, made)
    assert ours == pytest.approx(loss, rel=TOLERANCE)
    assert set(gradients) == set(wanted)
    zero = ZERO * max(np.abs(array).max() for array in wanted.values())
    for key, array in wanted.items():
        assert_near(gradients[key], array, zero)
    for form, array in wanted_scores.items():
        assert_near(of_scores[form], array)
        assert_near(made.scores[form].numpy(), other.scores()[form])
    weights, binary = other.weights(), {id(each) for each in other.binary.target_modules}
    names = {name for name, each in other.network.named_parameters() if id(each) in binary}
    for variable, keys in trained_by_key(made.network, case.cells):
        for key, array in parts(variable, keys).items():
            # They center a kernel before the next step, and we after this one.
            theirs_now = weights[key]
            if key in names:
                centered = scaled_sign.center(theirs_now.transpose(2, 3, 1, 0)).numpy()
                theirs_now = centered.transpose(3, 2, 0, 1)
            assert_near(array, theirs_now, 1e-12)


@runs_the_code
@pytest.mark.large
def test_parameters_and_kernels_in_32_bits_are_those_of_the_code():
    pytest.importorskip("torch", reason="torch runs the authors' code")
    case = authors.Case(8, 16, 32)
    other = authors.Authors(case)
    assert sum(p.numel() for p in other.network.parameters()) == bnas_search.PARAMS
    binary = {id(each) for each in other.binary.target_modules}
    names = {name for name, each in other.network.named_parameters() if id(each) in binary}
    columns = {name: authors.THEIRS.index(authors.OPERATIONS[name]) for name in CONVOLUTIONS}
    every = {
        f"cells.{cell}._ops.{row}._ops.{column}.op.0.weight": Kernel(cell + 1, edge, operation)
        for cell in range(case.cells)
        for row, edge in enumerate(EDGES)
        for operation, column in columns.items()
    }
    assert {every[key] for key in every.keys() - names} == slipped(8)
    assert names < every.keys()


@runs_the_code
@pytest.mark.large
@pytest.mark.parametrize("gamma", [1.0, 3.0])
def test_the_choice_of_cells_is_that_of_the_code(gamma):
    pytest.importorskip("torch", reason="torch runs the authors' code")
    other, space = authors.Authors(authors.Case(3, 2, 8)), bnas_search.space()
    wanted = other.genotype(gamma)
    for form, own in other.scores().items():
        weights = tf.nn.softmax(own).numpy()
        assert genotypes.choose(weights, space, gamma, "released") == wanted[form]
    assert gamma == 1.0 or wanted != other.genotype(1.0)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_five_steps_of_each_optimizer_are_those_of_pytorch(name):
    """With the settings of the search."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of the optimizers")
    start = np.linspace(-1, 1, 6)
    weight = torch.nn.Parameter(torch.tensor(start))
    variable = tf.Variable(start)
    if name == "sgd":
        recipe = recipes.load("bnas_search")
        ours = optimizers.optimizer_of(recipe, steps_per_epoch=5)
        theirs = torch.optim.SGD([weight], 0.025, momentum=0.9, weight_decay=3e-4)
    else:
        ours = Searcher(small_search.network(), small_search.SPACE, SearchSettings()).score_optimizer
        ours = type(ours).from_config(ours.get_config())
        theirs = torch.optim.Adam([weight], 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    for number in range(5):
        gradient = np.sin(1.7 * np.arange(6) + number) * (0.1 + 0.2 * number)
        weight.grad = torch.tensor(gradient)
        theirs.step()
        ours.apply_gradients([(tf.constant(gradient), variable)])
        np.testing.assert_allclose(variable.numpy(), weight.detach().numpy(), rtol=1e-13, atol=1e-16)


def test_the_learning_rate_falls_along_a_cosine_from_epoch_to_epoch():
    schedule = schedules.learning_rate_of(recipes.load("bnas_search"), steps_per_epoch=10)
    rates = [float(schedule(step)) for step in (0, 9, 250, 500)]
    assert rates == pytest.approx([0.025, 0.025, 0.013, 0.001])
