"""A folder of images, one subfolder for each class."""

import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from typing_extensions import override

from bnn_keras import files
from bnn_keras.data.sources import checking, images, split, tree
from bnn_keras.data.sources.source import Source
from bnn_keras.data.sources.tree import TRAIN, VAL, VALID, Tree
from bnn_keras.errors import UserError, one_of
from bnn_keras.nn import normalization

ALL = "all"


class ImageFiles(Source):
    """Image files in a tree of folders, as a source.

    Args:
        files_of: the tree.
        train, test: the files.
        findings: what is known of each file.
    """

    kind = "photographs"
    edge = None
    normalization = normalization.DEFAULT

    def __init__(
        self, files_of: Tree, train: list[Path], test: list[Path], findings: dict[Path, checking.Finding]
    ) -> None:
        self.class_names = files_of.class_names
        self.num_train, self.num_test = len(train), len(test)
        self._tree, self._train, self._test, self._findings = files_of, train, test, findings
        known = [findings[file] for file in (*train, *test)]
        self.all_jpeg = all(it.format == "jpeg" for it in known)
        self.uses_pillow = any(it.by_pillow for it in known)
        self._all_upright = all(it.orientation == 1 for it in known)

    @override
    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        return self._records([self._train[i] for i in random.permutation(self.num_train)])

    @override
    def test(self) -> tf.data.Dataset:
        return self._records(self._test)

    @override
    def read(self, record: dict[str, tf.Tensor]) -> tuple[images.Contents, tf.Tensor]:
        contents = images.read_file(record["path"], record.get("by_pillow"))
        if "orientation" in record:
            return images.Photograph(contents, record["orientation"]), record["label"]
        return contents, record["label"]

    @override
    def broken(self) -> list[str]:
        findings = checking.check(self._tree.root, [*self._train, *self._test], whole=True)
        return [str(file) for file, finding in findings.items() if finding.broken]

    def _records(self, chosen: list[Path]) -> tf.data.Dataset:
        known = [self._findings[file] for file in chosen]
        # Names of files are bytes for TensorFlow.
        records = {"path": [os.fsencode(file) for file in chosen], "label": self._tree.labels(chosen)}
        if self.uses_pillow:
            records["by_pillow"] = [finding.by_pillow for finding in known]
        if not self._all_upright:
            records["orientation"] = np.array([finding.orientation for finding in known], np.int64)
        return tf.data.Dataset.from_tensor_slices(records)


class Folder(ImageFiles):
    """A folder to train on.

    The subfolders train and val (or validation; or test, if there is none of these) are the training and the
    held-out examples. Otherwise a fifth of every class is held out, chosen by a hash of the file name,
    so that the choice stays the same. The order of the held-out examples is random, and always the same.

    Files that cannot be decoded are left out; see `checking` for how they are found.

    Args:
        path: of the folder.
        train_examples: train on at most so many; None is all.
        strict: decode every file beforehand, and refuse broken images.

    Raises:
        UserError: there is no such folder, it has less than two classes, a class has not enough
            images, train_examples does not fit, or (strict) an image is broken.
    """

    def __init__(self, path: str, train_examples: int | None = None, strict: bool = False) -> None:
        found = Tree.read(path).for_training()
        notes: list[str] = []
        train, test, findings = _training_parts(found, strict, notes)
        chosen = split.in_proportion(found.labels(train), train_examples)
        # At random: the first N of them, and every N-th, are of all classes.
        order = np.random.default_rng(0).permutation(len(test))
        super().__init__(found, [train[i] for i in chosen], [test[i] for i in order], findings)
        _print(notes)


class MeasuredFolder(ImageFiles):
    """A folder to measure a network on: all of its images, or one part of them, in mixed order.

    Args:
        path: of the folder.
        part: "all", "train", "val" or "test". Of a folder without such subfolders, "val" is what a training
            holds out.

    Raises:
        UserError: as `Folder` does, or the folder has no such part.
    """

    def __init__(self, path: str, part: str = ALL) -> None:
        found = Tree.read(path)
        notes: list[str] = []
        if found.parts or part == ALL:
            test = _given_part(found, part, notes)
            findings = tree.without_broken(found, test, False, notes)
            test = [file for file in test if file in findings]
        else:
            train, held_out, findings = _training_parts(found.for_training(), False, notes)
            test = {TRAIN: train, VAL: held_out}.get(part, [])
        if not test:
            raise UserError(f"{found.root} has no {'' if part == ALL else part + ' '}images: {VALID}.")
        # So the first N of them have all classes, too.
        order = split.mixed(found.labels(test))
        super().__init__(found, [], [test[i] for i in order], findings)
        _print(notes)


def _given_part(found: Tree, part: str, notes: list[str]) -> list[Path]:
    """The files of a part that the user made, or of all parts."""
    if part not in (ALL, *found.parts):
        raise one_of(f"part of {found.root}", part, [*found.parts, ALL])
    folders = list(found.parts.values()) or [found.root]
    chosen = folders if part == ALL else [found.parts[part]]
    return [file for folder in chosen for file in found.files(folder, notes)]


def _training_parts(
    found: Tree, strict: bool, notes: list[str]
) -> tuple[list[Path], list[Path], dict[Path, checking.Finding]]:
    """The training and the held-out files, and what is known of them."""
    train = found.files(found.train, notes)
    test = found.files(found.held_out, notes) if found.held_out else []
    findings = tree.without_broken(found, [*train, *test], strict, notes)
    train, test = ([file for file in part if file in findings] for part in (train, test))
    labels = found.labels(train)
    _check_classes(found.train, found.class_names, labels, least=1 if found.held_out else 2)
    if found.held_out is None:
        kept, held_out = split.hold_out(labels)
        return [train[i] for i in kept], [train[i] for i in held_out], findings
    if not test:
        raise UserError(f"{found.held_out} has no images: {VALID}.")
    return train, test, findings


def _check_classes(root: Path, class_names: tuple[str, ...], labels: np.ndarray, least: int) -> None:
    counts = np.bincount(labels, minlength=len(class_names))
    for name, count in zip(class_names, counts, strict=True):
        if count < least:
            why = "one to train on and one to hold out" if least == 2 else "one to train on"
            raise UserError(
                f"Class {name!r} in {root} has {count} usable image(s) ({', '.join(images.SUFFIXES)}), "
                f"but needs at least {least}: {why}."
            )


def _print(notes: list[str]) -> None:
    for note in notes:
        print(files.printable(note), file=sys.stderr)
