"""Post-training quantization of a run's network at several settings (BNext, section 7.5 and Table 7)."""

import dataclasses
from collections.abc import Iterator, Sequence

import tensorflow as tf

from bnn_keras import accounting, data, status
from bnn_keras.accounting.quantized import quantized
from bnn_keras.deploy.conversion import hardening
from bnn_keras.deploy.quantize.simulation import check_plan, simulate
from bnn_keras.errors import UserError
from bnn_keras.runs.config import RunConfig
from bnn_keras.runs.evaluation import evaluate
from bnn_keras.runs.quantization import Fraction, Quantization, QuantizedRow
from bnn_keras.runs.trained import TrainedNetwork
from bnn_keras.settings.quantization import Plan
from bnn_keras.training import objective, optimizers
from bnn_keras.training.trainer import plain_trainer

# Section 7.5. The paper calls 1e-7 the initial rate and names no schedule; here it stays.
EPOCHS, LEARNING_RATE, BETAS = 5, 1e-7, (0.99, 0.999)


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """How the quantized layers are fine-tuned.

    Args:
        epochs: 0 leaves it out.
        learning_rate: of AdamW, without weight decay.
        batch_size: images in a step; None is that of the run.
        train_examples: at most so many training images; None is those of the run.
        seeds: of the order and the augmentation of the images, one fine-tuning for each.
    """

    epochs: int = EPOCHS
    learning_rate: float = LEARNING_RATE
    batch_size: int | None = None
    train_examples: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)


def study(
    network: TrainedNetwork,
    plans: Sequence[Plan],
    tuning: FineTuning = FineTuning(),
    data_dir: str | None = None,
    limit: int | None = None,
) -> Quantization:
    """Measure a network with quantized parts, before and after these are fine-tuned.

    Each accuracy is printed when it is known.

    Args:
        network: the weights of a run.
        plans: the settings.
        tuning: how the quantized layers are fine-tuned.
        data_dir: where TensorFlow Datasets keeps its sets; None is the folder that the training used.
        limit: measure on no more held-out images.

    Raises:
        UserError: the network is in no run folder, has no such parts, or its data are not there.
    """
    config = network.config
    if config is None:
        raise UserError(
            f"{network.path} is in no run folder, whose data are needed to fine-tune and to measure."
        )
    model = hardening.harden(network.keras_model)
    for plan in plans:
        check_plan(model, plan)
    held_out = network.dataset(data_dir=data_dir)
    training = training_data(config, data_dir, tuning.train_examples)
    batch_size = tuning.batch_size or min(config.recipe.batch_size, training.num_train)
    training.steps_per_epoch(batch_size)
    profile = accounting.profile(model, dense=True)

    def accuracy(simulated: tf.keras.Model, what: str) -> Fraction:
        measured = dataclasses.replace(network, model=simulated, logits=simulated.predict_on_batch)
        with status.doing(f"measuring {what}"):
            found = evaluate(measured, held_out, limit=limit)
        fraction = Fraction(int(found.right.sum()), found.images)
        print(f"{what}: {fraction.right:,} of {fraction.images:,} images right", flush=True)
        return fraction

    def fine_tuned(simulated: tf.keras.Model, plan: Plan) -> Iterator[Fraction]:
        # Building these graphs takes longer than a fine-tuning, so they serve all seeds.
        trainer = trainer_of(simulated, tuning.learning_rate)
        variables = (*trainer.variables, *trainer.optimizer.variables)
        start = [variable.numpy() for variable in variables]
        for seed in tuning.seeds:
            for variable, value in zip(variables, start, strict=True):
                variable.assign(value)
            with status.doing(f"fine-tuning {plan}, seed {seed}"):
                fine_tune(trainer, training, config, tuning.epochs, batch_size, seed)
            yield accuracy(simulated, f"{plan}, fine-tuned, seed {seed}")

    def row(plan: Plan) -> QuantizedRow:
        cost = quantized(profile, plan)
        simulated = simulate(model, plan)
        rounded = accuracy(simulated, str(plan))
        tuned = tuple(fine_tuned(simulated, plan)) if tuning.epochs else ()
        return QuantizedRow(plan.parts, cost.size_mib, cost.qops, cost.ops, rounded, tuned)

    whole = QuantizedRow({}, profile.size_mib, 0, profile.ops, accuracy(model, "32/32"))
    return Quantization(
        weights=str(network.path),
        epochs=tuning.epochs,
        learning_rate=tuning.learning_rate,
        train_images=training.num_train,
        batch_size=batch_size,
        seeds=tuning.seeds,
        rows=(whole, *map(row, plans)),
    )


def training_data(
    config: RunConfig, data_dir: str | None = None, train_examples: int | None = None
) -> data.Dataset:
    """The training images of a run, with its augmentation.

    Args:
        config: of the run.
        data_dir: where TensorFlow Datasets keeps its sets; None is the folder that the training used.
        train_examples: at most so many images; None is those of the run.

    Raises:
        UserError: the data are not there.
    """
    most = [number for number in (train_examples, config.train_examples) if number is not None]
    return data.open(
        config.dataset,
        data_dir or config.data_dir,
        config.image_size,
        min(most, default=None),
        config.strict,
        config.recipe.augmentation,
    )


def trainer_of(simulated: tf.keras.Model, learning_rate: float) -> tf.keras.Model:
    """A model with the layers of a simulated network, compiled to train those that are quantized.

    Args:
        simulated: of `simulate`, which freezes all other layers.
        learning_rate: of AdamW, without weight decay.
    """
    trainer = plain_trainer(simulated)
    beta_1, beta_2 = BETAS
    optimizer = optimizers.AdamW(learning_rate, beta_1=beta_1, beta_2=beta_2)
    optimizer.build(trainer.trainable_variables)
    trainer.compile(optimizer, objective.CrossEntropy())
    return trainer


def fine_tune(
    trainer: tf.keras.Model,
    training: data.Dataset,
    config: RunConfig,
    epochs: int,
    batch_size: int,
    seed: int,
) -> None:
    """Train the quantized layers of a simulated network in place.

    Args:
        trainer: of `trainer_of`.
        training: the images, augmented as before.
        config: of the run, whose label smoothing is kept.
        epochs: passes over the images.
        batch_size: images in a step.
        seed: of the order and the augmentation of the images.
    """
    classes, smoothing = len(training.class_names), config.recipe.label_smoothing

    def smooth(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return images, objective.smooth(labels, classes, smoothing)

    with training.decoding():
        for epoch in range(epochs):
            batches = training.train(batch_size, epoch, seed)
            trainer.fit(batches.map(smooth) if smoothing else batches, verbose=0)
