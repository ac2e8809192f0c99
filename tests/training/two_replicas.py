"""Two devices of one process compute what one does.

`test_replicas` runs these tests in a process of their own.
"""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.distillation.panel import Panel
from bnn_keras.distillation.trainer import Distilled, Objective
from bnn_keras.training import flips, objective
from tests.distillation.test_objectives import CLASSES, FEATURES, Linear, example, linear_student
from tests.training.test_flips import moves, naive, network
from tests.training.test_optimizers import assert_decayed, decayed_network

# TensorFlow's devices cannot be changed once they are in use.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="module")
def two():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.mark.parametrize("inside", [True, False])
def test_flips_are_those_of_a_naive_count(two, inside):
    """Whether the counter is made in the strategy's scope, with its variables mirrored, or outside."""
    with two.scope():
        model = network((5, 7))
    with two.scope() if inside else tf.distribute.get_strategy().scope():
        counter = flips.FlipCounter(model)
    name, kernel = list(flips.binary_kernels(model).items())[1]
    assert len(two.experimental_local_results(kernel)) == 2
    counter.reset()
    states = [kernel.numpy()]
    for state in moves(kernel, 5):
        states.append(state)
        counter.update()
    np.testing.assert_array_equal(counter.counts()[name], naive(states))
    for variable in counter.variables if inside else []:
        np.testing.assert_array_equal(*two.experimental_local_results(variable))


def test_binary_kernels_have_their_decay(two):
    with two.scope():
        model = decayed_network("binary")
    model.fit(np.zeros((2, 8, 8, 3)), np.zeros(2), verbose=0)
    assert_decayed(model, ("binary/kernel", "progressive/kernel"))


def test_a_step_with_teachers_is_the_same(two):
    inputs, weights, _ = example()
    rng = np.random.default_rng(5)
    matrices = [rng.standard_normal((FEATURES, CLASSES)) for _ in range(3)]
    labels = np.zeros(len(inputs), int)

    def step(strategy):
        with strategy.scope():
            student = linear_student(weights)
            teacher, *assistants = [Linear(matrix, multiply=True) for matrix in matrices]
            panel = Panel(teacher, assistants)
            trainer = Distilled(student, panel, Objective(label_weight=0.3), 2)
            trainer.compile(tf.keras.optimizers.SGD(1.0), objective.CrossEntropy())
        panel.choose(1)
        replicas = strategy.num_replicas_in_sync
        parts = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(len(inputs) // replicas)
        if replicas > 1:
            parts = strategy.distribute_datasets_from_function(lambda _, parts=parts: parts)
        shown = trainer.fit(parts, steps_per_epoch=1, verbose=0).history
        return student.get_weights()[0], shown["loss"][0]

    alone, together = step(tf.distribute.get_strategy()), step(two)
    np.testing.assert_allclose(together[0], alone[0], rtol=0, atol=1e-9)
    assert together[1] == pytest.approx(alone[1], abs=1e-6)
