"""RAdam against NumPy in float64, schedules against the papers' formulas, binary kernels."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import layers, optimizers, schedules
from bnn_keras.errors import UserError
from bnn_keras.recipe import Recipe


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
        # Learning rate, factor and their product are float32: each step is off by up to 3 * 6e-8.
        np.testing.assert_allclose(variable.numpy(), expected, rtol=0, atol=2e-7 * travelled)


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
    schedule = schedules.WarmupCosine(0.5, 10, 2, 0.1)
    optimizer = optimizers.RAdam(schedule, beta_1=0.8, beta_2=0.9, epsilon=1e-3)
    again = tf.keras.optimizers.deserialize(tf.keras.optimizers.serialize(optimizer))
    assert isinstance(again, optimizers.RAdam)
    assert again.get_config() == optimizer.get_config()
    assert (again.beta_1, again.beta_2, again.epsilon) == (0.8, 0.9, 1e-3)


@pytest.mark.parametrize("name", sorted(optimizers.OPTIMIZERS))
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


def test_sgd_has_momentum():
    assert optimizers.get("sgd", 0.1).momentum == 0.9


def test_unknown_optimizer_lists_the_known():
    with pytest.raises(UserError, match="'lamb'; valid: adam, radam, sgd"):
        optimizers.get("lamb", 0.1)


def test_schedule_is_the_formula_at_every_step():
    recipe = Recipe(
        epochs=6,
        batch_size=1,
        optimizer="adam",
        learning_rate=0.02,
        warmup_epochs=2,
        tail_epochs=1,
        tail_learning_rate=3e-6,
    )
    schedule = schedules.of(recipe, steps_per_epoch=5)
    steps = np.arange(35)
    cosine = 0.02 * 0.5 * (1 + np.cos(np.pi * (steps - 10) / 20))
    expected = np.where(steps < 10, 0.02 * steps / 10, np.where(steps < 30, cosine, 3e-6))
    np.testing.assert_allclose([float(schedule(s)) for s in steps], expected, rtol=1e-6, atol=1e-12)


def test_schedule_without_warmup_is_keras_cosine():
    ours = schedules.of(Recipe(10, 1, "radam", 0.002), steps_per_epoch=7)
    keras = tf.keras.optimizers.schedules.CosineDecay(0.002, 70)
    np.testing.assert_allclose(
        [float(ours(s)) for s in range(80)], [float(keras(s)) for s in range(80)], atol=1e-9
    )


def test_schedule_survives_its_config():
    schedule = schedules.WarmupCosine(0.5, 10, 2, 0.1)
    api = tf.keras.optimizers.schedules
    assert api.deserialize(api.serialize(schedule)).get_config() == schedule.get_config()
