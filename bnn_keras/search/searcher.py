"""The model that Keras fits in a search: two updates in every step, of the scores and of the weights."""

import tensorflow as tf
from typing_extensions import override

from bnn_keras.settings.search import SearchSettings, Space
from bnn_keras.training import objective
from bnn_keras.training.optimizers import Adam
from bnn_keras.training.schedules import Constant

BETAS = (0.5, 0.999)  # of the scores' Adam (DARTS, section 3.1; the BNAS authors' code)


class Searcher(tf.keras.Model):
    """A weight-sharing network whose scores and weights are trained in turn (BNAS, section 4.4).

    Each step first updates the scores by a batch of the second half, and then the weights by a batch of the
    first half, both to first order: neither gradient is carried through the other update.

    Args:
        network: with a layer `bnn_keras.nn.mixed.Scores` for each form of cells, named FORM_scores.
        space: what is searched.
        settings: of the search.

    Attributes:
        scores: of the operations by form, each [edges, operations].
        epoch: the present one, from 0.
        first_scores: those at the beginning of the epoch.
        best_accuracy: of all completed epochs, on held-out images.
    """

    def __init__(self, network: tf.keras.Model, space: Space, settings: SearchSettings) -> None:
        super().__init__(name=network.name)
        self.network, self._settings = network, settings
        self.scores = {form: network.get_layer(f"{form}_scores").scores for form in space.forms}
        self.epoch = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self.first_scores = {
            form: tf.Variable(scores, trainable=False) for form, scores in self.scores.items()
        }
        self.best_accuracy = tf.Variable(-1.0, trainable=False)
        self.score_optimizer = Adam(
            Constant(settings.score_learning_rate), *BETAS, weight_decay=settings.score_weight_decay
        )
        self.score_optimizer.build(self._score_list)
        self.score_loss = tf.keras.metrics.Mean("score_loss")
        self.entropy = tf.keras.metrics.Mean("entropy")

    @property
    def _score_list(self) -> list[tf.Variable]:
        return list(self.scores.values())

    @property
    def extra_state(self) -> list[tf.Variable]:
        """What a checkpoint holds beside the network, its optimizer and the metrics."""
        return [*self.score_optimizer.variables, *self.first_scores.values(), self.best_accuracy]

    @property
    @override
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the logits."""
        return self.network.output_shape

    @override
    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return self.network(inputs, training=training)

    @override
    def train_step(self, data: tuple) -> dict[str, tf.Tensor]:
        (images, score_images), (labels, score_labels) = data
        self._update_scores(score_images, score_labels)
        return super().train_step((images, labels))

    @override
    def test_step(self, data: tuple) -> dict[str, tf.Tensor]:
        own = (self.score_loss.name, self.entropy.name)
        return {name: value for name, value in super().test_step(data).items() if name not in own}

    def _update_scores(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        # The gradients of the weights are not needed.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._score_list)
            loss = objective.CrossEntropy()(labels, self(images, training=True))
            entropy = mean_entropy(self.scores, self._settings.released_diversity)
            weight = self._settings.diversity * tf.exp(-self.epoch / self._settings.diversity_decay)
            total = loss - tf.cast(weight, loss.dtype) * entropy
        gradients = tape.gradient(total, self._score_list)
        self.score_optimizer.apply_gradients(zip(gradients, self._score_list, strict=True))
        self.score_loss.update_state(loss)
        self.entropy.update_state(entropy)


def mean_entropy(scores: dict[str, tf.Variable], released: bool = False) -> tf.Tensor:
    """The entropy of the operations' weights, averaged over the edges (BNAS, section 4.3).

    Args:
        scores: by form, each [edges, operations].
        released: the authors' code adds, for every edge of the last form, the entropy of its last edge.

    Returns:
        In nats.
    """
    entropies = [_entropies(each) for each in scores.values()]
    if released:
        entropies[-1] = tf.fill(tf.shape(entropies[-1]), entropies[-1][-1])
    return tf.reduce_mean(tf.concat(entropies, 0))


def _entropies(scores: tf.Variable) -> tf.Tensor:
    return -tf.reduce_sum(tf.nn.softmax(scores) * tf.nn.log_softmax(scores), axis=-1)
