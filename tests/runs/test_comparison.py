"""McNemar's test and the calibration error beside other computations of them."""

import math

import numpy as np
import pytest
from scipy import stats

from bnn_keras.cli import evaluate as verb
from bnn_keras.runs.calibration import calibration
from bnn_keras.runs.comparison import Comparison, mcnemar
from bnn_keras.runs.evaluation import Evaluation


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (0, 5), (3, 3), (12, 5), (2, 19), (40, 61)])
def test_mcnemar_sums_the_binomial_distribution(b, c):
    """Twice the smaller tail, at most 1, as statsmodels defines the exact test."""
    n = b + c
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
    assert mcnemar(b, c) == pytest.approx(min(1, 2 * tail), rel=1e-9)
    assert mcnemar(b, c) == mcnemar(c, b)


def test_for_many_images_it_is_as_the_chi_squared_form():
    for b, c in ((5000, 5100), (20_300, 20_000), (900, 1000)):
        corrected = stats.chi2.sf((abs(b - c) - 1) ** 2 / (b + c), df=1)
        assert mcnemar(b, c) == pytest.approx(corrected, rel=0.02)


def evaluation_of(right):
    right = np.array(right, bool)
    confusion = np.array([[right.sum(), (~right).sum()], [0, 0]])
    return Evaluation("net", "set", "images", ("a", "b"), right.mean(), None, confusion, None, right)


@pytest.mark.parametrize(
    ("only_first", "only_second", "sentence"),
    [
        (0, 0, "Both networks are right, and wrong, on the same images."),
        (
            5,
            3,
            "This shows no difference in accuracy: two equally good networks differ at least this much in "
            "72.66 % of such comparisons.",
        ),
        (
            9,
            1,
            "The first is more accurate: two equally good networks differ at least this much in 2.15 % of "
            "such comparisons.",
        ),
        (
            1,
            30,
            "The second is more accurate: two equally good networks differ at least this much in less than "
            "0.01 % of such comparisons.",
        ),
    ],
)
def test_what_a_comparison_says(only_first, only_second, sentence):
    both = [True] * 4 + [False] * 2
    first = evaluation_of(both + [True] * only_first + [False] * only_second)
    second = evaluation_of(both + [False] * only_first + [True] * only_second)
    compared = Comparison(first, second)
    assert (compared.only_first, compared.only_second) == (only_first, only_second)
    assert verb._compared_text(compared).splitlines()[-1] == sentence


def expected_calibration_error(confidence, right, bins):
    """Guo et al.'s equation 3, image by image."""
    total = 0.0
    for i in range(bins):
        inside = [(p, r) for p, r in zip(confidence, right, strict=True) if i / bins < p <= (i + 1) / bins]
        if inside:
            probabilities, truths = zip(*inside, strict=True)
            total += abs(sum(probabilities) - sum(truths))
    return total / len(confidence)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error(bins):
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 500)
    right = rng.uniform(size=500) < confidence**2
    found = calibration(confidence, right, bins)
    assert found.error == pytest.approx(expected_calibration_error(confidence, right, bins))
    assert found.images.sum() == 500 and len(found.images) == bins
    assert np.isnan(found.confidence[found.images == 0]).all()


def test_calibration_at_the_edges_of_bins():
    """An edge belongs to the bin below it; a sum of float32 above 1 to the last bin."""
    found = calibration(np.array([0.5, 1, np.float32(1.0000001)]), np.array([True, True, False]), 2)
    assert found.images.tolist() == [1, 2]
    assert found.error == pytest.approx((0.5 + 1) / 3, abs=1e-6)
    assert math.isnan(calibration(np.array([np.nan, 0.5]), np.array([True, False])).error)
