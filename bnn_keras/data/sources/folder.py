"""A folder of images, one subfolder a class."""

import collections
import hashlib
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from bnn_keras.data.dataset import PARALLEL_CALLS, note
from bnn_keras.data.sources import images, split
from bnn_keras.errors import UserError
from bnn_keras.nn import normalization

TRAIN = "train"
TEST = ("val", "validation", "test")
VALID = "valid is one subfolder a class, or train and val with one subfolder a class each"


class Folder:
    """A folder as a source. Every file is decoded once beforehand, so that training meets no broken one.

    With subfolders train and val (or validation, or test) those are the split; otherwise a fifth
    of every class is held out, by a hash of the file name, so that it stays the same.

    Args:
        path: of the folder.
        train_examples: train on no more than so many.
        strict: refuse broken images instead of leaving them out.

    Raises:
        UserError: there is no such folder, it has no two classes, a class has not enough images,
            train_examples does not fit, or (strict) an image is broken.
    """

    kind = "photographs"
    edge: int | None = None
    normalization = normalization.DEFAULT

    def __init__(self, path: str, train_examples: int | None = None, strict: bool = False):
        root = Path(path).expanduser()
        if not root.is_dir():
            raise UserError(f"There is no folder {path!r}: {VALID}.")
        test_root = next((root / name for name in TEST if (root / name).is_dir()), None)
        if not (root / TRAIN).is_dir():
            test_root = None
        train_root = root if test_root is None else root / TRAIN
        self.class_names = _classes(train_root)
        train = _files(train_root, self.class_names)
        test = [] if test_root is None else _files(test_root, self.class_names)
        train, test, self.all_jpeg = _whole(train, test, strict)
        labels = _labels(train, self.class_names)
        _check_classes(train_root, self.class_names, labels, least=2 if test_root is None else 1)
        if test_root is None:
            kept, held_out = split.hold_out(labels)
            train, test = [train[i] for i in kept], [train[i] for i in held_out]
            labels = labels[kept]
        elif not test:
            raise UserError(f"{test_root} has no images; {VALID}.")
        chosen = split.in_proportion(labels, train_examples)
        self._train, self._test = [train[i] for i in chosen], test
        self.num_train, self.num_test = len(self._train), len(self._test)

    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        return self._records([self._train[i] for i in random.permutation(self.num_train)])

    def test(self) -> tf.data.Dataset:
        return self._records(self._test)

    def read(self, record):
        return tf.io.read_file(record["path"]), record["label"]

    def _records(self, files: list[Path]) -> tf.data.Dataset:
        paths = [os.fspath(file) for file in files]
        return tf.data.Dataset.from_tensor_slices({"path": paths, "label": _labels(files, self.class_names)})


def _classes(root: Path) -> tuple[str, ...]:
    names = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(names) < 2:
        raise UserError(
            f"{root} has {len(names)} subfolder(s), and telling classes apart takes two: {VALID}."
        )
    return tuple(names)


def _files(root: Path, class_names: tuple[str, ...]) -> list[Path]:
    """The image files of every class, each class in an order that says nothing."""
    unknown = sorted({p.name for p in root.iterdir() if p.is_dir() and p.name[0] != "."} - set(class_names))
    if unknown:
        raise UserError(f"{root} has a class that the training images have not: {unknown[0]!r}.")
    files: list[Path] = []
    others: collections.Counter[str] = collections.Counter()
    for name in class_names:
        found = [p for p in (root / name).glob("*") if p.is_file() and p.name[0] != "."]
        files += sorted((p for p in found if p.suffix.lower() in images.SUFFIXES), key=_hash)
        others.update(p.suffix for p in found if p.suffix.lower() not in images.SUFFIXES)
    if others:
        kinds = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in sorted(others.items()))
        note(f"{root}: left out files that are no {', '.join(images.SUFFIXES)}: {kinds}")
    return files


def _hash(file: Path) -> tuple[bytes, str]:
    return hashlib.sha256(file.name.encode()).digest(), file.name


def _labels(files: list[Path], class_names: tuple[str, ...]) -> np.ndarray:
    number = {name: label for label, name in enumerate(class_names)}
    return np.array([number[file.parent.name] for file in files], np.int64)


def _whole(train: list[Path], test: list[Path], strict: bool) -> tuple[list[Path], list[Path], bool]:
    """The files that can be decoded to the end, and whether all of them are JPEGs."""
    is_jpeg = _decoded([*train, *test])
    broken = [file for file in (*train, *test) if file not in is_jpeg]
    if broken:
        message = f"{len(broken)} of {len(train) + len(test)} images: {', '.join(map(str, broken))}"
        if strict:
            raise UserError(f"Cannot decode {message}; without strict they are left out.")
        note(f"skipped {message}")
    train, test = ([file for file in part if file in is_jpeg] for part in (train, test))
    return train, test, all(is_jpeg.values())


def _decoded(files: list[Path]) -> dict[Path, bool]:
    """Decode every file; for those that can be, whether it is a JPEG."""
    if not files:
        return {}

    def check(index, path):
        contents = tf.io.read_file(path)
        return index, tf.io.is_jpeg(contents), tf.shape(images.decode(contents))

    paths = tf.data.Dataset.from_tensor_slices([os.fspath(file) for file in files])
    checked = paths.enumerate().map(check, num_parallel_calls=PARALLEL_CALLS).ignore_errors()
    return {files[int(index)]: bool(is_jpeg) for index, is_jpeg, _ in checked}


def _check_classes(root: Path, class_names: tuple[str, ...], labels: np.ndarray, least: int) -> None:
    counts = np.bincount(labels, minlength=len(class_names))
    for name, count in zip(class_names, counts, strict=True):
        if count < least:
            why = "one to train on and one to hold out" if least == 2 else "one to train on"
            raise UserError(
                f"Class {name!r} in {root} has {count} usable image(s) ({', '.join(images.SUFFIXES)}), "
                f"and needs at least {least}: {why}."
            )
