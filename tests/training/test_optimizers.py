"""Every optimizer step by step, against PyTorch, Larq or the paper's algorithm; decay, clipping, state."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn import layers
from bnn_keras.settings import recipe
from bnn_keras.settings.recipe import Recipe
from bnn_keras.training import optimizers, schedules
from tests.training.optimizer_cases import CASES, GOLDEN, GRADIENTS, RATE, START, STEPS, torch_steps


def our_steps(name, settings, rate=RATE):
    """The weight after each step, by us, in float64."""
    variable = tf.Variable(START, dtype=tf.float64)
    optimizer = optimizers.get(name, schedules.Constant(rate), **settings)
    for gradient in GRADIENTS:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        yield variable.numpy()


@pytest.mark.parametrize("case", sorted(CASES))
def test_ends_where_pytorch_ended(case):
    *_, last = our_steps(*CASES[case][0])
    np.testing.assert_allclose(last.ravel(), GOLDEN[case], rtol=0, atol=1e-13)


@pytest.mark.parametrize("case", sorted(CASES))
def test_is_pytorch_step_by_step(case):
    pytest.importorskip("torch", reason="PyTorch is not installed: only its committed numbers are compared")
    for ours, theirs in zip(our_steps(*CASES[case][0]), torch_steps(case), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14)


def test_radam_liu_is_algorithm_2_of_its_paper():
    m, v, weight = 0.0, 0.0, START
    for t, (g, ours) in enumerate(zip(GRADIENTS, our_steps("radam_liu", {}), strict=True), start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        rho = 1999 - 2 * t * 0.999**t / (1 - 0.999**t)
        if rho > 4:
            r = np.sqrt((rho - 4) * (rho - 2) * 1999 / ((1999 - 4) * (1999 - 2) * rho))
            # The paper divides by the root alone; epsilon is its authors' code's.
            weight = weight - RATE * r * m / (1 - 0.9**t) * np.sqrt(1 - 0.999**t) / (np.sqrt(v) + 1e-8)
        else:
            weight = weight - RATE * m / (1 - 0.9**t)
        np.testing.assert_allclose(ours, weight, rtol=0, atol=1e-13)


def test_the_two_radams_differ_in_betas_epsilon_and_the_threshold():
    one, other = (optimizers.get(name, 0.1).get_config() for name in ("radam", "radam_liu"))
    keys = ("beta_1", "beta_2", "epsilon", "rectified_above")
    assert [one[key] for key in keys] == [0.95, 0.999, 1e-5, 5.0]
    assert [other[key] for key in keys] == [0.9, 0.999, 1e-8, 4.0]


def radam_steps(weight, gradients, rate, beta_1=0.95, beta_2=0.999, epsilon=1e-5):
    """Algorithm 2 of the RAdam paper, written with its symbols."""
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    rho_inf = 2 / (1 - beta_2) - 1
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        m_hat = m / (1 - beta_1**t)
        rho = rho_inf - 2 * t * beta_2**t / (1 - beta_2**t)
        if rho > 5:
            r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            weight = weight - rate * r * m_hat * np.sqrt(1 - beta_2**t) / (np.sqrt(v) + epsilon)
        else:
            weight = weight - rate * m_hat
        yield weight


def test_radam_is_the_paper_step_by_step():
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=(3, 4)), random.normal(size=(40, 3, 4)) * 0.1
    variable = tf.Variable(start, dtype=tf.float64)
    optimizer = optimizers.get("radam", 0.002)
    travelled = 0.0
    for gradient, expected in zip(gradients, radam_steps(start, gradients, 0.002), strict=True):
        travelled += abs(expected - variable.numpy()).max()
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        # A learning rate that is a number is float32 in Keras: each step is off by up to 6e-8.
        np.testing.assert_allclose(variable.numpy(), expected, rtol=0, atol=6e-8 * travelled + 1e-16)


def test_radam_leaves_out_the_denominator_for_five_steps():
    variable = tf.Variable([0.0, 0.0])
    optimizer = optimizers.get("radam", 0.1)
    ratios = []
    for _ in range(7):
        before = variable.numpy()
        optimizer.apply_gradients([(tf.constant([1.0, 100.0]), variable)])
        step = before - variable.numpy()
        ratios.append(step[1] / step[0])
    # Without the denominator the step is as large as the gradient, with it about the same for all.
    np.testing.assert_allclose(ratios[:5], 100, rtol=1e-4)
    np.testing.assert_allclose(ratios[5:], 1, rtol=1e-2)


def test_radam_survives_its_config():
    schedule = schedules.Cosine(0.5, 10)
    optimizer = optimizers.RAdam(schedule, beta_1=0.8, beta_2=0.9, epsilon=1e-3)
    again = tf.keras.optimizers.deserialize(tf.keras.optimizers.serialize(optimizer))
    assert isinstance(again, optimizers.RAdam)
    assert again.get_config() == optimizer.get_config()
    assert (again.beta_1, again.beta_2, again.epsilon) == (0.8, 0.9, 1e-3)


@pytest.mark.parametrize("name", sorted(set(optimizers.OPTIMIZERS) - {"bop"}))
def test_the_latent_weights_of_a_binary_kernel_are_trained(name):
    """The step of a Larq kernel is that of a plain variable with the straight-through gradient."""
    conv = layers.binary_conv(4, 3)
    images = tf.random.stateless_normal((2, 6, 6, 3), seed=(1, 2))
    conv(images)
    (kernel,) = conv.trainable_weights
    assert kernel.precision == 1
    start = kernel.latent_variable.numpy()
    twin = tf.Variable(start)
    optimizer, twin_optimizer = optimizers.get(name, 0.1), optimizers.get(name, 0.1)
    for _ in range(7):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(conv(images) ** 2)
        gradient = tape.gradient(loss, kernel)
        assert np.abs(gradient).max() > 0
        optimizer.apply_gradients([(gradient, kernel)])
        twin_optimizer.apply_gradients([(tf.constant(gradient), twin)])
    np.testing.assert_array_equal(kernel.latent_variable.numpy(), twin.numpy())
    assert np.abs(twin.numpy() - start).max() > 0
    with lq.context.quantized_scope(True):
        np.testing.assert_array_equal(np.abs(kernel.numpy()), 1)


def test_momentum_may_be_a_schedule():
    momentum = schedules.Steps(0.9, (4,), 0.5)
    buffer, weight = 0.0, START
    for t, (g, ours) in enumerate(zip(GRADIENTS, our_steps("sgd", {"momentum": momentum}), strict=True)):
        buffer = (0.9 if t < 4 else 0.45) * buffer + g
        weight = weight - RATE * buffer
        np.testing.assert_allclose(ours, weight, rtol=0, atol=1e-14)


def test_the_learning_rate_is_the_schedules_at_every_step():
    schedule = schedules.Cosine(RATE, STEPS)
    variable = tf.Variable(START)
    optimizer = optimizers.get("sgd", schedule, momentum=0.0)
    for t, gradient in enumerate(GRADIENTS):
        before = variable.numpy()
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        expected = RATE * 0.5 * (1 + np.cos(np.pi * t / STEPS))
        np.testing.assert_allclose(before - variable.numpy(), expected * gradient, rtol=0, atol=1e-15)
        assert float(optimizer.learning_rate) == pytest.approx(expected, rel=1e-12)


def test_the_gradients_are_clipped_together_as_pytorch_clips():
    variables = [tf.Variable([0.0, 0.0], dtype=tf.float64), tf.Variable([0.0], dtype=tf.float64)]
    gradients = [tf.constant([3.0, 0.0], tf.float64), tf.constant([4.0], tf.float64)]
    optimizer = optimizers.get("sgd", schedules.Constant(1.0), momentum=0.0, clip_norm=2.0)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    factor = 2.0 / (5.0 + 1e-6)
    np.testing.assert_allclose(variables[0].numpy(), [-3 * factor, 0], rtol=1e-15)
    np.testing.assert_allclose(variables[1].numpy(), [-4 * factor], rtol=1e-15)


@pytest.mark.parametrize("clip_norm", [None, 0.0, 5.1])
def test_gradients_that_are_small_enough_are_not_clipped(clip_norm):
    variable = tf.Variable([0.0, 0.0])
    optimizer = optimizers.get("sgd", 1.0, momentum=0.0, clip_norm=clip_norm)
    optimizer.apply_gradients([(tf.constant([3.0, 4.0]), variable)])
    np.testing.assert_array_equal(variable.numpy(), [-3, -4])


def network():
    """One weight of every role: binary and float kernels, a bias of rank 4, vectors, a matrix."""
    image = tf.keras.Input((8, 8, 3))
    x = tf.keras.layers.Conv2D(4, 3, use_bias=False, name="float")(image)
    x = layers.Bias(name="shift")(x)
    x = layers.binary_conv(4, 3, name="binary")(x)
    x = layers.progressive_conv(4, 3, name="progressive")(x)
    x = tf.keras.layers.BatchNormalization(name="bn")(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(2, name="dense")(x))


@pytest.mark.parametrize(
    ("groups", "kernels"),
    [
        (None, ()),
        ("binary", ("binary/kernel", "progressive/kernel")),
        ("released", ("float/kernel", "shift/bias", "binary/kernel", "progressive/kernel")),
    ],
)
def test_each_role_has_its_decay(groups, kernels):
    model = decayed_network(groups)
    model.optimizer.apply_gradients([(tf.zeros_like(w), w) for w in model.trainable_weights])
    assert_decayed(model, kernels)


def decayed_network(groups):
    """A network of ones whose optimizer does nothing but decay: its loss has no gradient."""
    model = network()
    optimizer = optimizers.AdamW(
        schedules.Constant(0.5),
        weight_decay=0.2,
        kernel_weight_decay=None if groups is None else 0.4,
        decay_groups=groups,
    )
    model.compile(optimizer, lambda labels, logits: 0 * tf.reduce_sum(logits))
    for weight in model.trainable_weights:
        weight.assign(tf.ones(weight.shape))
    return model


def assert_decayed(model, kernels):
    for weight in model.trainable_weights:
        shrunk = 0.8 if weight.name.removesuffix(":0") in kernels else 0.9
        latent = getattr(weight, "latent_variable", weight)
        np.testing.assert_allclose(latent.numpy(), shrunk, rtol=1e-6, err_msg=weight.name)


def test_unknown_decay_groups_list_the_known():
    with pytest.raises(UserError, match="decay_groups 'all'; valid: released, binary"):
        optimizers.AdamW(0.1, kernel_weight_decay=0.1, decay_groups="all")


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_bop_is_larqs_on_binary_kernels_and_adam_elsewhere(dtype):
    """From a start with exact zeros of both signs, and with a gradient that is exactly 0."""
    start = np.where(np.abs(START) < 0.5, [[0.0], [-0.0]], START)
    kernels = [
        lq.quantized_variable.QuantizedVariable.from_variable(
            tf.Variable(start, dtype=dtype), lq.quantizers.NoOp(precision=1)
        )
        for _ in range(2)
    ]
    plain = [tf.Variable(START, dtype=dtype) for _ in range(2)]
    larqs = lq.optimizers.Bop(threshold=0.01, gamma=0.05)
    adam = optimizers.get("adam", 0.1)
    ours = optimizers.get("bop", 0.1, threshold=0.01, gamma=0.05)
    flips = 0
    for gradient in [0 * GRADIENTS[0], *GRADIENTS]:
        gradient = tf.constant(gradient, dtype)
        before = kernels[0].numpy()
        ours.apply_gradients([(gradient, kernels[0]), (gradient, plain[0])])
        larqs.apply_gradients([(gradient, kernels[1])])
        adam.apply_gradients([(gradient, plain[1])])
        np.testing.assert_array_equal(kernels[0].numpy(), kernels[1].numpy())
        np.testing.assert_array_equal(plain[0].numpy(), plain[1].numpy())
        flips += np.sum(before == -kernels[0].numpy())
    assert set(kernels[0].numpy().ravel()) == {-1, 1} and flips > 1


def test_larqs_bop_cannot_be_combined_with_our_adam():
    """Why there is a Bop of ours: Larq's pairs it with Keras's legacy optimizers only."""
    pair = lq.optimizers.Bop.is_binary_variable, lq.optimizers.Bop()
    with pytest.raises(TypeError, match="Expected `Optimizer` for `default_optimizer`"):
        lq.optimizers.CaseOptimizer(pair, default_optimizer=optimizers.get("adam", 0.1))


SETTINGS = {
    "adam": {"weight_decay": 0.1},
    "adamw": {"weight_decay": 0.1, "kernel_weight_decay": 0.2, "decay_groups": "binary", "clip_norm": 1.0},
    "bop": {"gamma": 0.1},
    "radam": {},
    "radam_liu": {"weight_decay": 0.1},
    "sgd": {"momentum": schedules.OneCycle(0.95, 0.85, 0.95, 4, 6), "nesterov": True},
}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_state_is_saved_and_goes_on_bit_identically(name, tmp_path):
    assert set(SETTINGS) == set(optimizers.OPTIMIZERS)

    def begin():
        weights = [tf.Variable(START[0]), tf.Variable(START, dtype=tf.float32)]
        optimizer = optimizers.get(name, schedules.Cosine(0.1, 6), **SETTINGS[name])
        optimizer.build(weights)
        return weights, optimizer, tf.train.Checkpoint(weights=weights, optimizer=optimizer)

    def go(weights, optimizer, gradients):
        for g in gradients:
            pairs = [(tf.constant(g[0]), weights[0]), (tf.constant(g, tf.float32), weights[1])]
            optimizer.apply_gradients(pairs)

    weights, optimizer, checkpoint = begin()
    go(weights, optimizer, GRADIENTS[:3])
    path = checkpoint.save(str(tmp_path / "c"))
    go(weights, optimizer, GRADIENTS[3:6])
    resumed, optimizer, checkpoint = begin()
    checkpoint.restore(path).assert_consumed()
    go(resumed, optimizer, GRADIENTS[3:6])
    for ours, undisturbed in zip(resumed, weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), undisturbed.numpy())


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_survives_its_config(name):
    optimizer = optimizers.get(name, schedules.Cosine(0.5, 10), **SETTINGS[name])
    again = tf.keras.optimizers.deserialize(tf.keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer) and again.get_config() == optimizer.get_config()


def test_unknown_optimizer_lists_the_known():
    with pytest.raises(UserError, match="'lamb'; valid: adam, adamw, bop, radam, radam_liu, sgd"):
        optimizers.get("lamb", 0.1)


def test_recipes_and_optimizers_have_the_same_names():
    assert set(optimizers.OPTIMIZERS) == set(recipe.OPTIMIZER_KEYS)


DECAYS = {"weight_decay": 0.1, "kernel_weight_decay": 0.2, "decay_groups": "binary", "clip_norm": 3.0}


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("radam", {}, {"beta_1": 0.95, "beta_2": 0.999, "epsilon": 1e-5, "clip_norm": None}),
        ("radam_liu", {}, {"beta_1": 0.9, "rectified_above": 4.0}),
        (
            "adam",
            {"beta_1": 0.5, "beta_2": 0.6, "epsilon": 0.1},
            {"beta_1": 0.5, "beta_2": 0.6, "epsilon": 0.1},
        ),
        ("adamw", DECAYS, {**DECAYS, "beta_1": 0.9}),
        ("sgd", {}, {"momentum": 0.9, "nesterov": False}),
        ("sgd", {"momentum": 0.5, "nesterov": True}, {"momentum": 0.5, "nesterov": True}),
        ("bop", {"bop_threshold": 0.1, "bop_gamma": 0.2}, {"threshold": 0.1, "gamma": 0.2}),
        ("bop", {}, {"threshold": 1e-8, "gamma": 1e-4}),
    ],
)
def test_a_recipes_settings_arrive(name, settings, expected):
    config = optimizers.optimizer_of(
        Recipe(epochs=2, batch_size=1, optimizer=name, learning_rate=0.1, **settings), steps_per_epoch=5
    ).get_config()
    assert {key: config[key] for key in expected} == expected
    assert config["learning_rate"]["config"] == {"peak": 0.1, "duration": 10, "final": 0.0}


def test_the_momentum_of_one_cycle_runs_against_the_rate():
    one_cycle = Recipe(
        epochs=10,
        batch_size=1,
        optimizer="sgd",
        learning_rate=0.05,
        schedule="one_cycle",
        warmup_learning_rate=0.0025,
        momentum=0.95,
        cycle_momentum=0.85,
    )
    optimizer = optimizers.optimizer_of(one_cycle, 10)
    values = [float(optimizer.momentum(step)) for step in (0, 45, 90, 99)]
    np.testing.assert_allclose(values, [0.95, 0.85, 0.95, 0.95], rtol=1e-15)
