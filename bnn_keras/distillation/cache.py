"""Teachers that are asked once: their logits for fixed views of the training images, on the disk.

A teacher has a folder: `key.json` says what its logits depend on, and `view0.logits`, … hold them in
the order of the epoch, float32, a batch after the other. A folder that does not fit is refused.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from bnn_keras import files
from bnn_keras.data import Dataset
from bnn_keras.distillation import assistants
from bnn_keras.distillation.panel import IMAGE, KNOWLEDGE
from bnn_keras.distillation.teacher import Teacher
from bnn_keras.distillation.views import FixedViews
from bnn_keras.errors import UserError
from bnn_keras.settings.recipe import Recipe

BYTES = 4  # of a float32


@dataclasses.dataclass(frozen=True)
class Cache:
    """The logits of one teacher for the views of a data set.

    Args:
        folder: where they lie or will lie.
        teacher: whose they are.
        dataset: in views.
        batch_size, seed: of the training.
    """

    folder: Path
    teacher: Teacher
    dataset: FixedViews
    batch_size: int
    seed: int

    def file(self, view: int) -> Path:
        """The logits of a view."""
        return self.folder / f"view{view}.logits"

    @property
    def record_bytes(self) -> int:
        """Of a batch."""
        return self.batch_size * self.teacher.classes * BYTES

    def prepare(self, views: Sequence[int]) -> None:
        """Ask the teacher for the views that are not there yet.

        Raises:
            UserError: the folder holds other logits, or the disk takes no more.
        """
        self._claim()
        whole = self.dataset.steps_per_epoch(self.batch_size) * self.record_bytes
        for view in views:
            path = self.file(view)
            if not path.is_file():
                print(f"asking {self.teacher.name} once for view {view + 1} of {self.dataset.views}")
                self._write(path, view)
            elif path.stat().st_size != whole:
                raise UserError(f"{path} is damaged: it has {path.stat().st_size} bytes instead of {whole}.")

    def read(self, view: int, skip_batches: int = 0) -> tf.data.Dataset:
        """Batches of logits, [batch, classes]."""
        records = tf.data.FixedLengthRecordDataset(str(self.file(view)), self.record_bytes)
        shape = [self.batch_size, self.teacher.classes]
        return records.skip(skip_batches).map(
            lambda record: tf.reshape(tf.io.decode_raw(record, tf.float32), shape)
        )

    def _write(self, path: Path, view: int) -> None:
        ask = tf.function(lambda images: self.teacher(images)[0])
        with files.replacing(path) as temporary, open(temporary, "wb") as file:
            for images, _ in self.dataset.train(self.batch_size, view, self.seed):
                file.write(tf.cast(ask(images), tf.float32).numpy().tobytes())

    def _claim(self) -> None:
        path, key = self.folder / "key.json", self._key()
        if not path.is_file():
            files.write_text(path, json.dumps(key, indent=2) + "\n")
            return
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is not a whole JSON file: {error}.") from error
        for name, value in key.items():
            if there.get(name) != value:
                raise UserError(
                    f"The logits in {self.folder} do not fit: their {name} is {there.get(name)}, needed is "
                    f"{value}; give another --cache_teacher."
                )

    def _key(self) -> dict:
        images, labels = next(iter(self.dataset.train(self.batch_size, 0, self.seed)))
        return {
            "teacher": self.teacher.name,
            "teacher_weights": self.teacher.digest,
            "dataset": self.dataset.name,
            "train_examples": self.dataset.num_train,
            "image_size": self.dataset.image_size,
            "augmentation": _augmentation(self.dataset),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "first_batch": hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest(),
        }


def _augmentation(dataset: Dataset) -> dict | None:
    """The settings as JSON gives them back."""
    settings = getattr(dataset, "augmentation", None)
    return None if settings is None else json.loads(json.dumps(dataclasses.asdict(settings)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CachedViews(FixedViews):
    """Fixed views whose batches bring the logits of the teachers with them.

    Args:
        teacher: the logits of the strong one.
        assistants: of the others, in order.
        epochs: of the whole training.
    """

    teacher: Cache
    assistants: tuple[Cache, ...] = ()
    epochs: int = 1

    def train(
        self, batch_size: int, epoch: int, seed: int, skip_batches: int = 0, part: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """As in `Dataset`, but for the images: a dictionary of them and the teachers' logits.

        The logits are float32, [batch, teachers, classes].
        """
        caches = [self.teacher]
        if self.assistants:
            caches.append(self.assistants[assistants.part(epoch, self.epochs, len(self.assistants))])
        batches = super().train(batch_size, epoch, seed, skip_batches, part)
        index, parts = part
        size = batch_size // parts

        def joined(batch, *logits):
            images, labels = batch
            own = tf.stack(logits, axis=1)[index * size : (index + 1) * size]
            return {IMAGE: images, KNOWLEDGE: own}, labels

        said = [cache.read(self.view(epoch), skip_batches) for cache in caches]
        joint = tf.data.Dataset.zip((batches, *said)).map(joined)
        options = tf.data.Options()
        options.deterministic = True
        joint = joint.prefetch(tf.data.AUTOTUNE).with_options(options)
        return joint.apply(tf.data.experimental.assert_cardinality(batches.cardinality()))


def prepare(
    folder: Path,
    dataset: Dataset,
    views: int,
    teacher: Teacher,
    helpers: Sequence[Teacher],
    recipe: Recipe,
    seed: int,
) -> CachedViews:
    """Ask every teacher once for the views that it is needed for.

    Args:
        folder: of the logits; each teacher has one in it.
        dataset, recipe, seed: of the training.
        views: how many views of the images there are.
        teacher: the strong one.
        helpers: the assistants, in order.

    Returns:
        The data set with their answers.

    Raises:
        UserError: the folder holds logits that do not fit, or the disk takes no more.
    """
    shown = FixedViews.of(dataset, views=views)
    epochs = recipe.all_epochs
    caches = []
    for number, asked in enumerate((teacher, *helpers)):
        place = folder / f"{number}-{_file_name(asked.name)}"
        caches.append(Cache(place, asked, shown, recipe.batch_size, seed))
        active = [
            epoch
            for epoch in range(epochs)
            if number == 0 or assistants.part(epoch, epochs, len(helpers)) == number - 1
        ]
        caches[-1].prepare(sorted({shown.view(epoch) for epoch in active}))
    first, *others = caches
    return CachedViews.of(dataset, views=views, teacher=first, assistants=tuple(others), epochs=epochs)


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("_.")
