"""Logits of the teachers for fixed views of the training images, computed once and kept on the disk.

Each teacher has a folder: `key.json` records what the logits depend on, and `view0.logits`, … hold
them in the order of the epoch, float32, batch after batch. A folder that does not fit is refused.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from bnn_keras import files, status
from bnn_keras.data import Dataset
from bnn_keras.distillation import assistants
from bnn_keras.distillation.panel import IMAGE, KNOWLEDGE
from bnn_keras.distillation.teacher import Teacher
from bnn_keras.distillation.views import FixedViews
from bnn_keras.errors import UserError
from bnn_keras.json_file import read_json
from bnn_keras.settings.recipe import Recipe

BYTES = 4  # of a float32


@dataclasses.dataclass(frozen=True)
class Cache:
    """The logits of one teacher for the views of a data set.

    Args:
        folder: of their files.
        teacher: that computes them.
        dataset: the training images in views.
        batch_size, seed: of the training.
    """

    folder: Path
    teacher: Teacher
    dataset: FixedViews
    batch_size: int
    seed: int

    def file(self, view: int) -> Path:
        """The file with the logits of a view."""
        return self.folder / f"view{view}.logits"

    @property
    def record_bytes(self) -> int:
        """Bytes of the logits of a batch."""
        return self.batch_size * self.teacher.classes * BYTES

    def prepare(self, views: Sequence[int]) -> None:
        """Compute the logits of the views that have no file yet.

        Raises:
            UserError: the folder holds other logits, or a file cannot be written.
        """
        with files.locked(self.folder), self.dataset.decoding():
            self._prepare(views)

    def _prepare(self, views: Sequence[int]) -> None:
        self._claim()
        whole = self.dataset.steps_per_epoch(self.batch_size) * self.record_bytes
        for view in views:
            path = self.file(view)
            if not path.is_file():
                work = f"logits of {self.teacher.name} for view {view + 1} of {self.dataset.views}"
                print(f"computing the {work}", flush=True)
                self._write(path, view, work)
            elif path.stat().st_size != whole:
                raise UserError(f"{path} is damaged: it has {path.stat().st_size} bytes instead of {whole}.")

    def read(self, view: int, skip_batches: int = 0) -> tf.data.Dataset:
        """The logits of a view in batches, [batch, classes].

        Args:
            view: counted from 0.
            skip_batches: number of batches to leave out at the beginning.
        """
        records = tf.data.FixedLengthRecordDataset(str(self.file(view)), self.record_bytes)
        shape = [self.batch_size, self.teacher.classes]
        return records.skip(skip_batches).map(
            lambda record: tf.reshape(tf.io.decode_raw(record, tf.float32), shape)
        )

    def _write(self, path: Path, view: int, work: str) -> None:
        compute = tf.function(lambda images: self.teacher(images)[0])
        with files.replacing(path) as temporary, open(temporary, "wb") as file:
            batches = self.dataset.train(self.batch_size, view, self.seed)
            total = self.dataset.steps_per_epoch(self.batch_size)
            for images, _ in status.counted(batches, total, f"{work}, batches"):
                file.write(tf.cast(compute(images), tf.float32).numpy().tobytes())

    def _claim(self) -> None:
        path, key = self.folder / "key.json", self._key()
        if not path.is_file():
            files.write_text(path, json.dumps(key, indent=2) + "\n")
            return
        there = read_json(path, dict[str, Any], "what the logits in a folder depend on")
        for name, value in key.items():
            if there.get(name) != value:
                raise UserError(
                    f"The logits in {self.folder} were computed with {name}={there.get(name)}, but this run "
                    f"needs {name}={value}; give another --cache_teacher."
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
    """The settings as they are read back from JSON."""
    settings = getattr(dataset, "augmentation", None)
    return None if settings is None else json.loads(json.dumps(dataclasses.asdict(settings)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CachedViews(FixedViews):
    """Fixed views whose batches include the logits of the teachers.

    Args:
        teacher: the logits of the main teacher.
        assistants: the logits of the assistants, in order.
        epochs: of the whole training.
    """

    teacher: Cache
    assistants: tuple[Cache, ...] = ()
    epochs: int = 1

    def train(
        self, batch_size: int, epoch: int, seed: int, skip_batches: int = 0, part: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """As `Dataset.train`, but with a dictionary in place of the images.

        It holds the images and the logits of the epoch's teachers, float32 [batch, teachers, classes].
        """
        caches = [self.teacher]
        if self.assistants:
            caches.append(self.assistants[assistants.assistant_of(epoch, self.epochs, len(self.assistants))])
        batches = super().train(batch_size, epoch, seed, skip_batches, part)
        index, parts = part
        size = batch_size // parts

        def joined(batch: tuple, *logits: tf.Tensor) -> tuple[dict, tf.Tensor]:
            images, labels = batch
            own = tf.stack(logits, axis=1)[index * size : (index + 1) * size]
            return {IMAGE: images, KNOWLEDGE: own}, labels

        answers = [cache.read(self.view(epoch), skip_batches) for cache in caches]
        joint = tf.data.Dataset.zip((batches, *answers)).map(joined)
        options = tf.data.Options()
        options.deterministic = True
        joint = joint.prefetch(tf.data.AUTOTUNE).with_options(options)
        return joint.apply(tf.data.experimental.assert_cardinality(batches.cardinality()))


def prepare(
    folder: Path,
    dataset: Dataset,
    views: int,
    teachers: Sequence[Teacher],
    recipe: Recipe,
    seed: int,
) -> CachedViews:
    """Compute the logits of every teacher for the views of the epochs in which it teaches.

    Args:
        folder: in which each teacher has a folder.
        dataset, recipe, seed: of the training.
        views: number of views of the images.
        teachers: the main teacher, then the assistants in order.

    Returns:
        The data set with the logits.

    Raises:
        UserError: the folder holds logits that do not fit, or a file cannot be written.
    """
    shown = FixedViews.from_dataset(dataset, views=views)
    epochs, helpers = recipe.planned_epochs, len(teachers) - 1
    caches = []
    for number, teacher in enumerate(teachers):
        place = folder / f"{number}-{_file_name(teacher.name)}"
        caches.append(Cache(place, teacher, shown, recipe.batch_size, seed))
        active = [
            epoch
            for epoch in range(recipe.all_epochs)
            if number == 0 or assistants.assistant_of(epoch, epochs, helpers) == number - 1
        ]
        caches[-1].prepare(sorted({shown.view(epoch) for epoch in active}))
    first, *others = caches
    return CachedViews.from_dataset(
        dataset, views=views, teacher=first, assistants=tuple(others), epochs=epochs
    )


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("_.")
