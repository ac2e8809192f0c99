"""The schedules against formulas written out here, and against PyTorch's where it has the same rule."""

import math

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.settings import recipe
from bnn_keras.settings.recipe import Recipe
from bnn_keras.training import schedules

NEEDS_TORCH = "PyTorch is not installed: only the formulas written out here are compared"
STEPS = 5  # an epoch


def rates(schedule, count):
    return [float(schedule(step)) for step in range(count)]


def of(count, **settings):
    """A recipe's rates: 12 epochs of 5 steps with a peak of 0.5."""
    return rates(
        schedules.learning_rate_of(
            Recipe(epochs=12, batch_size=1, optimizer="sgd", learning_rate=0.5, **settings), STEPS
        ),
        count,
    )


def test_cosine_is_the_formula_with_warmup_and_tail_at_every_step():
    settings = {"warmup_epochs": 2, "warmup_learning_rate": 0.1, "final_learning_rate": 0.02}
    ours = of(70, tail_epochs=1, tail_learning_rate=3e-6, **settings)
    expected = []
    for t in range(70):
        if t < 10:
            expected.append(0.1 + 0.4 * t / 10)
        elif t < 60:
            expected.append(0.02 + 0.48 * (1 + math.cos(math.pi * (t - 10) / 50)) / 2)
        else:
            expected.append(3e-6)
    np.testing.assert_allclose(ours, expected, rtol=1e-14)


def test_cosine_stays_where_it_ends():
    assert of(62, final_learning_rate=0.02)[60:] == [0.02, 0.02]


def test_meliusnets_cosine_is_keras_cosine():
    ours = schedules.learning_rate_of(
        Recipe(epochs=10, batch_size=1, optimizer="radam", learning_rate=0.002), steps_per_epoch=7
    )
    keras = tf.keras.optimizers.schedules.CosineDecay(0.002, 70)
    np.testing.assert_allclose(rates(ours, 71), rates(keras, 71), atol=1e-9)


@pytest.mark.parametrize("epochs", [128, 512])
def test_cosine_per_epoch_is_bnexts(epochs):
    settings = {"warmup_epochs": 5, "warmup_learning_rate": 1e-5, "final_learning_rate": 1e-7}
    schedule = schedules.learning_rate_of(
        Recipe(
            epochs=epochs,
            batch_size=1,
            optimizer="adamw",
            learning_rate=1e-3,
            schedule="cosine_per_epoch",
            **settings,
        ),
        STEPS,
    )
    for e in range(epochs):
        if e < 5:
            expected = 1e-5 + e * (1e-3 - 1e-5) / 5
        else:
            expected = 1e-7 + 0.5 * (1e-3 - 1e-7) * (1 + math.cos(math.pi * (e - 5) / epochs))
        for step in (e * STEPS, e * STEPS + STEPS - 1):
            assert float(schedule(step)) == pytest.approx(expected, rel=1e-12)
    assert expected > 2e-7  # it does not come to its minimum


def test_linear_is_the_formula_with_warmup_and_tail_at_every_step():
    settings = {"warmup_epochs": 2, "warmup_learning_rate": 0.1, "final_learning_rate": 0.02}
    ours = of(70, schedule="linear", tail_epochs=1, tail_learning_rate=3e-6, **settings)
    rise, fall = np.linspace(0.1, 0.5, 10, endpoint=False), np.linspace(0.5, 0.02, 50, endpoint=False)
    np.testing.assert_allclose(ours, [*rise, *fall, *[3e-6] * 10], rtol=1e-14)
    np.testing.assert_allclose(of(65, schedule="linear", final_learning_rate=0.02)[60:], 0.02, rtol=1e-14)


def test_steps_come_after_their_epochs():
    ours = of(60, schedule="steps", milestones=(7, 9.4), milestone_factor=0.3, warmup_epochs=1)
    assert ours[:5] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert ours[5:35] == [0.5] * 30
    assert ours[35:47] == pytest.approx([0.15] * 12) and ours[47:] == pytest.approx([0.045] * 13)


def test_one_cycle_is_bnass():
    """BNAS's numbers: up from a twentieth over 45 % of the steps, back by 90 %, on to a hundredth of it."""
    settings = {"warmup_learning_rate": 2.5e-3, "final_learning_rate": 2.5e-5}
    bnas = Recipe(
        epochs=20,
        batch_size=1,
        optimizer="sgd",
        learning_rate=0.05,
        schedule="one_cycle",
        momentum=0.95,
        cycle_momentum=0.85,
        cycle_share=0.9,
        **settings,
    )
    rate, momentum = schedules.learning_rate_of(bnas, STEPS), schedules.momentum_of(bnas, STEPS)
    for t in range(101):
        if t <= 45:
            expected = 2.5e-3 + (0.05 - 2.5e-3) * t / 45, 0.95 - 0.1 * t / 45
        elif t <= 90:
            expected = 0.05 - (0.05 - 2.5e-3) * (t - 45) / 45, 0.85 + 0.1 * (t - 45) / 45
        else:
            expected = 2.5e-3 - (2.5e-3 - 2.5e-5) * (t - 90) / 10, 0.95
        assert (float(rate(t)), float(momentum(t))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("momentum", [None, 0.7])
def test_momentum_is_a_number_without_a_cycle(momentum):
    assert (
        schedules.momentum_of(
            Recipe(epochs=12, batch_size=1, optimizer="sgd", learning_rate=0.5, momentum=momentum), STEPS
        )
        == momentum
    )


def test_cosine_begins_again_after_each_restart():
    ours = of(60, schedule="cosine_restarts", restart_epochs=4, final_learning_rate=0.1)
    expected = [0.1 + 0.4 * (1 + math.cos(math.pi * (t % 20) / 20)) / 2 for t in range(60)]
    np.testing.assert_allclose(ours, expected, rtol=1e-14)


def test_constant():
    assert of(60, schedule="constant") == [0.5] * 60
    assert of(60, schedule="constant", warmup_epochs=1)[:6] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def torch_rates(scheduler, count, **settings):
    torch = pytest.importorskip("torch", reason=NEEDS_TORCH)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler = getattr(torch.optim.lr_scheduler, scheduler)(optimizer, **settings)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("scheduler", "theirs", "ours"),
    [
        ("CosineAnnealingLR", {"T_max": 60, "eta_min": 0.02}, {"final_learning_rate": 0.02}),
        (
            "LinearLR",
            {"start_factor": 1.0, "end_factor": 0.04, "total_iters": 60},
            {"schedule": "linear", "final_learning_rate": 0.02},
        ),
        ("MultiStepLR", {"milestones": [35, 45]}, {"schedule": "steps", "milestones": (7, 9)}),
        (
            "CosineAnnealingWarmRestarts",
            {"T_0": 20, "eta_min": 0.02},
            {"schedule": "cosine_restarts", "restart_epochs": 4, "final_learning_rate": 0.02},
        ),
        ("ConstantLR", {"factor": 1.0}, {"schedule": "constant"}),
    ],
)
def test_pytorch_has_the_same(scheduler, theirs, ours):
    np.testing.assert_allclose(of(60, **ours), torch_rates(scheduler, 60, **theirs), rtol=1e-12)


ALL = {
    "constant": {},
    "cosine": {"warmup_epochs": 2, "extensions": (1, 2)},
    "cosine_per_epoch": {"warmup_epochs": 2},
    "cosine_restarts": {"restart_epochs": 3},
    "linear": {"warmup_epochs": 2, "final_learning_rate": 0.1},
    "one_cycle": {},
    "steps": {"milestones": (3, 5.5), "tail_epochs": 1},
}


@pytest.mark.parametrize("name", sorted(ALL))
def test_survives_its_config_and_counts_in_float64(name):
    assert set(ALL) == set(recipe.SCHEDULE_KEYS)
    schedule = schedules.learning_rate_of(
        Recipe(epochs=12, batch_size=1, optimizer="sgd", learning_rate=0.5, schedule=name, **ALL[name]), STEPS
    )
    api = tf.keras.optimizers.schedules
    again = api.deserialize(api.serialize(schedule))
    assert type(again) is type(schedule) and again.get_config() == schedule.get_config()
    assert rates(again, 65) == rates(schedule, 65)
    assert schedule(tf.constant(3)).dtype == tf.float64
    # The same in a graph, where the step is a variable.
    step = tf.Variable(33, dtype=tf.int64)
    assert float(tf.function(lambda: schedule(step))()) == pytest.approx(float(schedule(33)), rel=1e-14)


def test_an_extension_changes_no_epoch_before_it_and_falls_from_the_peak():
    planned = Recipe(
        epochs=3, batch_size=1, optimizer="sgd", learning_rate=0.5, final_learning_rate=0.1, tail_epochs=1
    )
    before, after = (schedules.learning_rate_of(recipe, 10) for recipe in (planned, planned.extend(6)))
    assert rates(after, 40) == rates(before, 40)
    cosine = schedules.Cosine(0.5, 20, 0.1)
    assert rates(after, 65)[40:] == rates(cosine, 25)


def test_the_iterations_of_a_long_run_are_told_apart():
    """ImageNet, 512 epochs at batch 32: in float32 the cosine would stand still near its top."""
    schedule = schedules.learning_rate_of(
        Recipe(epochs=512, batch_size=1, optimizer="sgd", learning_rate=0.1), steps_per_epoch=40_036
    )
    assert all(float(schedule(t)) > float(schedule(t + 1)) for t in (1, 1000, 512 * 40_036 - 2))
