"""What is minimised, against plain NumPy and PyTorch in float64, and the trainer that minimises it."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras.distillation import assistants, attention, ensemble, losses
from bnn_keras.distillation.panel import IMAGE, KNOWLEDGE, Panel, read_answers
from bnn_keras.distillation.teacher import Teacher
from bnn_keras.distillation.trainer import Distilled, Objective
from bnn_keras.errors import UserError
from bnn_keras.papers.teachers import knowledge_complexity
from bnn_keras.training import objective
from bnn_keras.training.trainer import plain_trainer

BATCH, FEATURES, CLASSES = 6, 5, 4
PAIRS = [(form, count, t) for form in ("paper", "released") for count in (1, 2) for t in (1.0, 3.0)]
# Computed with PyTorch from `example`, in float64: loss, the sum of the gradient's absolute values.
GOLDEN = {
    ("paper", 1, 1.0): (4.021251530240754, 4.232570303412311),
    ("paper", 2, 1.0): (7.739563274018033, 6.050764152933807),
    ("released", 1, 1.0): (2.473514477136231, 2.1162851517061556),
    ("released", 2, 1.0): (3.8431420095700446, 2.7112808321411093),
    ("paper", 2, 3.0): (14.486281308884848, 12.580100124430272),
    ("released", 2, 3.0): (12.652235761715865, 6.2084939485114115),
}


def example():
    """Inputs, a linear student's weights, and two teachers' logits."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: 2 * rng.standard_normal(shape)  # noqa: E731
    return draw(BATCH, FEATURES), draw(FEATURES, CLASSES), [draw(BATCH, CLASSES), draw(BATCH, CLASSES)]


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def by_hand(form, inputs, weights, teachers, temperature):
    """Loss, each teacher's loss, its mean weight, and the gradient by the student's weights, in NumPy."""
    s = softmax(inputs @ weights / temperature)
    ts = [softmax(t / temperature) for t in teachers]
    scale = temperature**2
    if form == "paper":
        ce = np.stack([-(s * np.log(t)).sum(-1) for t in ts], -1)
        w = softmax(ce)
        each = np.stack([(t * np.log(t / s)).sum(-1) for t in ts], -1) * scale
        loss = (w * each).sum(-1).mean()
        by_logits = sum(w[:, [i]] * (s - t) for i, t in enumerate(ts)) * scale / temperature / BATCH
        return loss, each.mean(0), w.mean(0), inputs.T @ by_logits
    ce = np.stack([-(t * np.log(s)).sum(-1) for t in ts], -1)
    w = softmax(ce).mean(0) if len(ts) > 1 else np.array([0.5])
    each = ce.mean(0) * scale
    by_logits = sum(w[i] * (s - t) for i, t in enumerate(ts)) * scale / temperature / BATCH / len(ts)
    return (w * each).sum() / len(ts), each, w, inputs.T @ by_logits


def linear_student(weights, name="linear"):
    """To logits, in float64."""
    vector = tf.keras.Input((FEATURES,), dtype=tf.float64)
    head = tf.keras.layers.Dense(CLASSES, use_bias=False, dtype=tf.float64, name="head")
    network = tf.keras.Model(vector, head(vector), name=name)
    head.set_weights([weights])
    return network


def compiled(network, ask, aim, teachers):
    trainer = Distilled(network, ask, aim, teachers)
    metrics = [objective.Accuracy("accuracy")]
    # Without tracing, which would take most of the time of these tests.
    trainer.compile(tf.keras.optimizers.SGD(1.0), objective.CrossEntropy(), metrics, run_eagerly=True)
    return trainer


class Linear:
    """Stands for a teacher: constant logits, or those of a matrix."""

    def __init__(self, values, multiply=False):
        self.values, self.multiply = tf.constant(values), multiply

    def __call__(self, inputs):
        return (inputs @ self.values if self.multiply else self.values), []


@pytest.mark.parametrize(("form", "count", "temperature"), PAIRS)
def test_losses_and_weights_equal_numpy(form, count, temperature):
    inputs, weights, teachers = example()
    loss, each, shares, _ = by_hand(form, inputs, weights, teachers[:count], temperature)
    found = ensemble.FORMS[form](
        tf.constant(inputs @ weights), list(map(tf.constant, teachers[:count])), temperature
    )
    np.testing.assert_allclose(found.loss, loss, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.losses, each, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.weights, shares, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("form", "count", "temperature"), PAIRS)
def test_one_step_of_the_trainer_is_the_gradient_by_hand(form, count, temperature):
    label_weight = 0.0 if temperature == 1 else 0.3
    inputs, weights, teachers = example()
    labels = np.arange(BATCH) % CLASSES
    *_, gradient = by_hand(form, inputs, weights, teachers[:count], temperature)
    error = softmax(inputs @ weights) - np.eye(CLASSES)[labels]
    wanted = (1 - label_weight) * gradient + label_weight * inputs.T @ error / BATCH
    network = linear_student(weights)
    said = lambda _: (list(map(tf.constant, teachers[:count])), [])  # noqa: E731
    trainer = compiled(network, said, Objective(form, temperature, label_weight), count)
    trainer.train_on_batch(tf.constant(inputs), labels)
    np.testing.assert_allclose(weights - network.get_weights()[0], wanted, rtol=0, atol=1e-9)


def torch_step(form, inputs, weights, teachers, temperature):
    """The same with PyTorch's losses and its automatic gradient."""
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    w = torch.tensor(weights, requires_grad=True)
    logits = torch.tensor(inputs) @ w / temperature
    ts = [torch.softmax(torch.tensor(t) / temperature, -1) for t in teachers]
    if form == "paper":
        s = torch.softmax(logits, -1)
        away = torch.stack([-(s * torch.log(t)).sum(-1) for t in ts], -1)
        sigma = torch.softmax(away, -1).detach()
        kl = [
            torch.nn.functional.kl_div(torch.log_softmax(logits, -1), t, reduction="none").sum(-1) for t in ts
        ]
        loss = sum(sigma[:, i] * kl[i] for i in range(len(ts))).mean()
    else:
        per_image = torch.nn.CrossEntropyLoss(reduction="none")
        alpha = torch.softmax(torch.stack([per_image(logits, t) for t in ts], -1), -1).detach()
        if len(ts) == 1:
            alpha = torch.full_like(alpha, 0.5)
        means = [torch.nn.CrossEntropyLoss()(logits, t) for t in ts]
        loss = torch.mean(sum(means[i] * alpha[:, i] for i in range(len(ts))) / len(ts))
    loss = loss * temperature**2
    loss.backward()
    return loss.item(), w.grad.numpy()


@pytest.mark.parametrize(("form", "count", "temperature"), PAIRS)
def test_pytorch_agrees(form, count, temperature):
    inputs, weights, teachers = example()
    loss, gradient = torch_step(form, inputs, weights, teachers[:count], temperature)
    ours, _, _, by_weights = by_hand(form, inputs, weights, teachers[:count], temperature)
    np.testing.assert_allclose(ours, loss, rtol=0, atol=1e-9)
    np.testing.assert_allclose(by_weights, gradient, rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", GOLDEN)
def test_numbers_that_pytorch_gave(case):
    form, count, temperature = case
    inputs, weights, teachers = example()
    variable = tf.Variable(weights)
    with tf.GradientTape() as tape:
        found = ensemble.FORMS[form](
            tf.constant(inputs) @ variable, list(map(tf.constant, teachers[:count])), temperature
        )
    gradient = tape.gradient(found.loss, variable)
    received = float(found.loss), float(tf.reduce_sum(tf.abs(gradient)))
    np.testing.assert_allclose(received, GOLDEN[case], rtol=0, atol=1e-9)


def test_no_gradient_reaches_a_teacher():
    _, _, (student, teacher) = example()
    teacher = tf.Variable(teacher)
    for form in ensemble.FORMS.values():
        with tf.GradientTape() as tape:
            loss = form(tf.constant(student), [teacher, teacher + 1.0]).loss
        assert tape.gradient(loss, teacher) is None


def test_a_student_that_is_its_teacher_has_nothing_to_learn():
    logits = tf.constant(example()[2][0])
    np.testing.assert_allclose(losses.distribution_loss(logits, logits, 2.0), np.zeros(BATCH), atol=1e-12)


def test_halves_are_compared_in_float32():
    logits = tf.constant([[9.0, 1.0]], tf.float16)
    assert losses.log_probabilities(logits).dtype == tf.float32


def test_attention_equals_numpy():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 4, 7))
    qs = [(x**2).sum(-1).reshape(2, 12) for x in (a, b)]
    qs = [q / np.linalg.norm(q, axis=-1, keepdims=True) for q in qs]
    wanted = ((qs[0] - qs[1]) ** 2).sum(-1).mean()
    found = attention.attention_loss([tf.constant(a), tf.constant(a)], [tf.constant(b), tf.constant(a)])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)


def test_attention_to_nothing_has_a_gradient():
    nothing = tf.Variable(tf.zeros((1, 2, 2, 3)))
    with tf.GradientTape() as tape:
        loss = attention.attention_loss([nothing], [tf.ones((1, 2, 2, 3))])
    assert np.all(np.isfinite(tape.gradient(loss, nothing)))


def pictures(name, stages, size=8, filters=3):
    image = x = tf.keras.Input((size, size, 3))
    for number, stage in enumerate(stages):
        x = tf.keras.layers.Conv2D(filters, 3, strides=1 + number % 2, padding="same", name=stage)(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(CLASSES)(x), name=name)


def test_stages_are_matched_by_name_and_size():
    student = pictures("student", ["a", "b", "c", "x/inner"])
    teacher = pictures("teacher", ["a", "b", "c", "x/inner"], filters=5)
    assert attention.common_stages(student, teacher) == ["a", "c"]
    with pytest.raises(UserError, match="student and the teacher other have none in common"):
        attention.common_stages(student, pictures("other", ["d", "e"]))
    with pytest.raises(UserError, match="other has no feature map called 'a'"):
        attention.check_stages(student, pictures("other", ["d"]), ["a"])
    with pytest.raises(UserError, match="'a' is .8, 8. pixels in student and .16, 16. in the teacher large"):
        attention.check_stages(student, pictures("large", ["a"], size=16), ["a"])


def test_attention_is_part_of_the_step():
    """Its weight 0 and 2: the difference of the losses is twice the attention loss that is reported."""
    images, labels = np.random.default_rng(2).uniform(0, 255, (2, 8, 8, 3)), np.array([0, 1])
    teacher = Teacher("teacher", pictures("teacher", ["a", "b"])).watching(["a", "b"])
    reached = []
    for weight in (0.0, 2.0):
        tf.keras.utils.set_random_seed(1)
        student = pictures("student", ["a", "b"])
        aim = Objective(attention_weight=weight, stages=("a", "b"))
        trainer = compiled(student, Panel(teacher), aim, 1)
        reached.append(trainer.train_on_batch(images.astype(np.float32), labels, return_dict=True))
    assert reached[0]["attention_loss"] > 0
    difference = reached[1]["loss"] - reached[0]["loss"]
    assert difference == pytest.approx(2 * reached[0]["attention_loss"], rel=1e-4)


def test_a_batch_in_parts_gives_the_step_of_the_whole():
    images = np.random.default_rng(2).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
    teacher = Teacher("teacher", pictures("teacher", ["a"])).watching(["a"])
    reached = []
    for parts in (1, 2):
        tf.keras.utils.set_random_seed(1)
        student = pictures("student", ["a"])
        trainer = compiled(student, Panel(teacher), Objective(attention_weight=1.0, stages=("a",)), 1)
        trainer.evaluate(images, np.arange(4) % 2, verbose=0)
        trainer.parts = parts
        shown = trainer.train_on_batch(images, np.arange(4) % 2, return_dict=True)
        reached.append((shown, student.get_weights()))
    (whole, expected), (parted, found) = reached
    assert parted == pytest.approx(whole, rel=1e-4)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_held_out_images_are_judged_by_their_labels():
    inputs, weights, _ = example()
    labels = np.arange(BATCH) % CLASSES

    def nobody(_):
        raise AssertionError("a teacher was asked")

    trainer = compiled(linear_student(weights), nobody, Objective(), 2)
    results = trainer.evaluate(inputs, labels, verbose=0, return_dict=True)
    wanted = -np.log(softmax(inputs @ weights)[np.arange(BATCH), labels]).mean()
    assert results["loss"] == pytest.approx(wanted, rel=1e-6)
    assert set(results) == {"loss", "accuracy"}
    assert trainer.output_shape == (None, CLASSES)


def test_what_is_shown_per_teacher():
    inputs, weights, teachers = example()
    said = lambda _: (list(map(tf.constant, teachers)), [])  # noqa: E731
    trainer = compiled(linear_student(weights), said, Objective(), 2)
    shown = trainer.train_on_batch(inputs, np.zeros(BATCH, int), return_dict=True)
    loss, each, shares, _ = by_hand("paper", inputs, weights, teachers, 1.0)
    found = [shown[f"{role}_{what}"] for role in ("teacher", "assistant") for what in ("loss", "weight")]
    np.testing.assert_allclose(found, [each[0], shares[0], each[1], shares[1]], rtol=1e-6)
    assert shown["loss"] == pytest.approx(loss, rel=1e-6)


def test_the_trainer_holds_the_student_and_nothing_of_its_teachers():
    student, teacher = pictures("student", ["a"]), Teacher("t", pictures("teacher", ["a"]))
    trainer = compiled(student, Panel(teacher, [teacher, teacher]), Objective(), 2)
    own = {id(variable) for variable in student.variables}
    assert {id(variable) for variable in trainer.trainable_variables} <= own
    metrics = {id(variable) for metric in trainer.metrics for variable in metric.variables}
    assert {id(variable) for variable in trainer.variables} <= own | metrics
    teachers = {id(variable) for variable in teacher.network.variables}
    assert not teachers & {id(variable) for variable in tf.Module.variables.fget(trainer)}


def test_the_active_assistant_teaches_and_no_other():
    class Constant:
        def __init__(self, value):
            self.value = value

        def __call__(self, images):
            return tf.fill([tf.shape(images)[0], 2], self.value), []

    panel = Panel(Constant(0.0), [Constant(1.0), Constant(2.0), Constant(3.0)])
    ask = tf.function(lambda images: panel(images)[0])
    for number in (2, 0, 1):
        panel.choose(number)
        assert [float(x[0, 0]) for x in ask(tf.zeros((1, 2)))] == [0.0, number + 1.0]


def test_a_compiled_step_gives_the_same():
    """With XLA, the choice among the assistants included, as operation by operation."""
    inputs, weights, logits = example()
    teachers = [Linear(logits[0]), Linear(logits[1]), Linear(-logits[1])]
    reached = []
    for jit in (False, True):
        network = linear_student(weights)
        panel = Panel(teachers[0], teachers[1:])
        panel.choose(1)
        trainer = Distilled(network, panel, Objective(), 2)
        how = {"jit_compile": True} if jit else {"run_eagerly": True}
        trainer.compile(tf.keras.optimizers.SGD(1.0), objective.CrossEntropy(), **how)
        trainer.train_on_batch(tf.constant(inputs), np.zeros(BATCH, int))
        reached.append(network.get_weights()[0])
    np.testing.assert_allclose(*reached, rtol=0, atol=1e-12)


def test_cached_answers_come_with_the_images():
    inputs, weights, teachers = example()
    asked, read = (linear_student(weights) for _ in range(2))
    said = lambda _: (list(map(tf.constant, teachers)), [])  # noqa: E731
    compiled(asked, said, Objective(), 2).train_on_batch(tf.constant(inputs), np.zeros(BATCH, int))
    batch = {IMAGE: inputs, KNOWLEDGE: np.stack(teachers, axis=1)}
    compiled(read, read_answers, Objective(), 2).fit(
        tf.data.Dataset.from_tensors((batch, np.zeros(BATCH, int))), verbose=0
    )
    np.testing.assert_array_equal(asked.get_weights()[0], read.get_weights()[0])


def test_assistants_share_the_epochs_equally():
    assert [assistants.assistant_of(epoch, 6, 3) for epoch in range(6)] == [0, 0, 1, 1, 2, 2]
    assert [assistants.assistant_of(epoch, 5, 2) for epoch in range(5)] == [0, 0, 0, 1, 1]
    # The released code's own expression, with three assistants and 512 epochs.
    released = [0 if e / (512 / 3) < 1 else 1 if e / (512 / 3) < 2 else 2 for e in range(512)]
    assert [assistants.assistant_of(epoch, 512, 3) for epoch in range(512)] == released
    assert assistants.switch_epochs(512, 3) == [172, 343]
    assert assistants.switch_epochs(7, 1) == []
    with pytest.raises(UserError, match="3 assistants need at least 3 epochs. Received: 2"):
        assistants.switch_epochs(2, 3)


def test_the_assistant_of_the_epoch_is_chosen_and_announced(capsys):
    chosen = []
    switch = assistants.SwitchAssistant(["small", "large"], 4, chosen.append)
    for epoch in range(1, 4):
        switch.on_epoch_begin(epoch)
    assert chosen == [0, 1, 1]
    assert capsys.readouterr().out == (
        "assistant from epoch 2 on: small (1 of 2)\nassistant from epoch 3 on: large (2 of 2)\n"
    )


def test_assistants_rise_in_accuracy_then_complexity():
    small, large = pictures("small", ["a"]), pictures("large", ["a"], filters=30)
    a, b, c = Teacher("a", large, None, 0.5), Teacher("b", small, None, 0.5), Teacher("c", small, None, 0.4)
    assert [t.name for t in assistants.sort_assistants([a, b, c])] == ["c", "b", "a"]
    unknown = Teacher("unknown", small)
    assert [t.name for t in assistants.sort_assistants([a, unknown, c])] == ["a", "unknown", "c"]


def test_knowledge_complexity_by_hand():
    assert knowledge_complexity(9_000_000, 0.9) == pytest.approx(np.log10(11))
    teacher = Teacher("t", pictures("t", ["a"]), None, 0.5)
    assert teacher.params == 3 * 3 * 3 * 3 + 3 + 3 * CLASSES + CLASSES
    assert teacher.complexity == pytest.approx(knowledge_complexity(teacher.params, 0.5))


def test_a_plain_training_in_the_same_process_leaves_distillation_alone():
    """Keras changes the bases of the class of a functional model, when the first one is made."""
    features = tf.keras.Input((FEATURES,))
    network = tf.keras.Model(features, tf.keras.layers.Dense(CLASSES)(features))
    plain_trainer(network)
    assert Distilled(network, None, Objective(), 1).output_shape == (None, CLASSES)
