"""A folder of images, one subfolder for each class."""

import collections
import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from typing_extensions import override

from bnn_keras import files
from bnn_keras.data.sources import images, split
from bnn_keras.data.sources.source import Source
from bnn_keras.errors import UserError
from bnn_keras.nn import normalization

TRAIN = "train"
TEST = ("val", "validation", "test")
VALID = "valid is one subfolder for each class, or the subfolders train and val that contain those"


class Folder(Source):
    """A folder as a source. Every file is decoded once beforehand, so that no broken one stops a training.

    The subfolders train and val (or validation, or test), if there are such, are the training and the
    held-out examples. Otherwise a fifth of every class is held out, chosen by a hash of the file name,
    so that the choice stays the same.

    Args:
        path: of the folder.
        train_examples: train on at most so many; None is all.
        strict: refuse broken images instead of leaving them out.

    Raises:
        UserError: there is no such folder, it has less than two classes, a class has not enough
            images, train_examples does not fit, or (strict) an image is broken.
    """

    kind = "photographs"
    edge = None
    normalization = normalization.DEFAULT

    def __init__(self, path: str, train_examples: int | None = None, strict: bool = False) -> None:
        root = Path(os.path.expanduser(path))
        with files.reading(root):
            if not root.is_dir():
                raise UserError(f"There is no folder {path!r}: {VALID}.")
            train_root, test_root = _roots(root)
            self._folders = _classes(train_root)
            notes: list[str] = []
            train = _files(train_root, self._folders, notes)
            test = [] if test_root is None else _files(test_root, self._folders, notes)
        self.class_names = tuple(map(files.printable, self._folders))
        train, test, self.all_jpeg = _without_broken(train, test, strict, notes)
        labels = _labels(train, self._folders)
        _check_classes(train_root, self.class_names, labels, least=2 if test_root is None else 1)
        if test_root is None:
            kept, held_out = split.hold_out(labels)
            train, test = [train[i] for i in kept], [train[i] for i in held_out]
            labels = labels[kept]
        elif not test:
            raise UserError(f"{test_root} has no images: {VALID}.")
        chosen = split.in_proportion(labels, train_examples)
        self._train, self._test = [train[i] for i in chosen], test
        self.num_train, self.num_test = len(self._train), len(self._test)
        for note in notes:
            print(files.printable(note), file=sys.stderr)

    @override
    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        return self._records([self._train[i] for i in random.permutation(self.num_train)])

    @override
    def test(self) -> tf.data.Dataset:
        return self._records(self._test)

    @override
    def read(self, record: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.io.read_file(record["path"]), record["label"]

    def _records(self, chosen: list[Path]) -> tf.data.Dataset:
        labels = _labels(chosen, self._folders)
        return tf.data.Dataset.from_tensor_slices({"path": _paths(chosen), "label": labels})


def _roots(root: Path) -> tuple[Path, Path | None]:
    """The folders of the training and of the held-out images; None if the user has not split them."""
    test = next((root / name for name in TEST if (root / name).is_dir()), None)
    if test is None or not (root / TRAIN).is_dir():
        return root, None
    return root / TRAIN, test


def _visible(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if not path.name.startswith(".")]


def _classes(root: Path) -> tuple[str, ...]:
    names = sorted(path.name for path in _visible(root) if path.is_dir())
    if len(names) < 2:
        raise UserError(
            f"{root} has {len(names)} subfolder(s), but a classification needs two classes: {VALID}."
        )
    return tuple(names)


def _files(root: Path, folders: tuple[str, ...], notes: list[str]) -> list[Path]:
    """The image files of every class, each class in the order of the hashes; a note says what is left out."""
    unknown = sorted({path.name for path in _visible(root) if path.is_dir()} - set(folders))
    if unknown:
        raise UserError(f"{root} has a class without training images: {unknown[0]!r}.")
    chosen: list[Path] = []
    others: collections.Counter[str] = collections.Counter()
    for folder in filter(Path.is_dir, (root / name for name in folders)):
        found = [path for path in _visible(folder) if path.is_file()]
        chosen += sorted((path for path in found if path.suffix.lower() in images.SUFFIXES), key=_hash)
        others.update(path.suffix for path in found if path.suffix.lower() not in images.SUFFIXES)
    if others:
        kinds = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in sorted(others.items()))
        notes.append(f"{root}: left out files that are no {', '.join(images.SUFFIXES)}: {kinds}")
    return chosen


def _hash(file: Path) -> tuple[bytes, str]:
    return hashlib.sha256(os.fsencode(file.name)).digest(), file.name


def _paths(chosen: list[Path]) -> list[bytes]:
    """As TensorFlow takes them: names of files are bytes."""
    return [os.fsencode(file) for file in chosen]


def _labels(chosen: list[Path], folders: tuple[str, ...]) -> np.ndarray:
    number = {name: label for label, name in enumerate(folders)}
    return np.array([number[file.parent.name] for file in chosen], np.int64)


def _without_broken(
    train: list[Path], test: list[Path], strict: bool, notes: list[str]
) -> tuple[list[Path], list[Path], bool]:
    """The files that can be decoded, and whether all of them are JPEGs."""
    is_jpeg = _decodable([*train, *test])
    broken = [file for file in (*train, *test) if file not in is_jpeg]
    if broken:
        message = f"{len(broken)} of {len(train) + len(test)} images: {', '.join(map(str, broken))}"
        if strict:
            raise UserError(f"Cannot decode {message}; without strict they are left out.")
        notes.append(f"skipped {message}")
    train, test = ([file for file in part if file in is_jpeg] for part in (train, test))
    return train, test, all(is_jpeg.values())


def _decodable(found: list[Path]) -> dict[Path, bool]:
    """Decode every file; for those that can be decoded, whether it is a JPEG."""
    if not found:
        return {}

    def check(index: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        contents = tf.io.read_file(path)
        return index, tf.io.is_jpeg(contents), tf.shape(images.decode(contents))

    paths = tf.data.Dataset.from_tensor_slices(_paths(found))
    checked = paths.enumerate().map(check, num_parallel_calls=images.PARALLEL_CALLS).ignore_errors()
    return {found[int(index)]: bool(is_jpeg) for index, is_jpeg, _ in checked}


def _check_classes(root: Path, class_names: tuple[str, ...], labels: np.ndarray, least: int) -> None:
    counts = np.bincount(labels, minlength=len(class_names))
    for name, count in zip(class_names, counts, strict=True):
        if count < least:
            why = "one to train on and one to hold out" if least == 2 else "one to train on"
            raise UserError(
                f"Class {name!r} in {root} has {count} usable image(s) ({', '.join(images.SUFFIXES)}), "
                f"but needs at least {least}: {why}."
            )
