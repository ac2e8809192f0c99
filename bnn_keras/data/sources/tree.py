"""A folder on the disk: its parts, their classes, and the files in them."""

import collections
import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bnn_keras import files
from bnn_keras.data.sources import checking, images
from bnn_keras.errors import UserError

VALID = "valid is one subfolder for each class, or the subfolders train and val that contain those"
TRAIN, VAL, TEST = "train", "val", "test"
# The names of the subfolders that a user may have split the images into.
PARTS = {"train": TRAIN, "val": VAL, "validation": VAL, "test": TEST}


@dataclasses.dataclass(frozen=True)
class Tree:
    """The image files of a folder.

    Args:
        root: the folder.
        parts: the folder of each part, of "train", "val" and "test". A folder that the user has not split has
            no parts.
        folders: the names of the class folders, in order.
    """

    root: Path
    parts: dict[str, Path]
    folders: tuple[str, ...]

    @classmethod
    def read(cls, path: str) -> "Tree":
        """List the folders.

        Raises:
            UserError: there is no such folder, it cannot be read, or it has no subfolders.
        """
        root = Path(os.path.expanduser(path))
        with files.reading(root):
            if not root.is_dir():
                raise UserError(f"There is no folder {path!r}: {VALID}.")
            parts = _parts(root)
            found = {name for part in parts.values() or [root] for name in _subfolders(part)}
        if not found:
            raise UserError(f"{root} has 0 subfolder(s), but a classification needs two classes: {VALID}.")
        return cls(root, parts, tuple(sorted(found)))

    def for_training(self) -> "Tree":
        """The same tree with the classes of its training images.

        Raises:
            UserError: there are no training images, less than two classes, or other classes in the held-out
                images.
        """
        if self.parts and TRAIN not in self.parts:
            raise UserError(f"{self.root} has no subfolder {TRAIN}, only {', '.join(self.parts)}: {VALID}.")
        with files.reading(self.root):
            folders = sorted(_subfolders(self.train))
            unknown = sorted(set(_subfolders(self.held_out)) - set(folders)) if self.held_out else []
        if len(folders) < 2:
            raise UserError(
                f"{self.train} has {len(folders)} subfolder(s), but a classification needs two classes: "
                f"{VALID}."
            )
        if unknown:
            raise UserError(f"{self.held_out} has a class without training images: {unknown[0]!r}.")
        return dataclasses.replace(self, folders=tuple(folders))

    @property
    def train(self) -> Path:
        """The folder of the training images, and of the held-out ones if the user has not split them."""
        return self.parts.get(TRAIN, self.root)

    @property
    def held_out(self) -> Path | None:
        """The folder of the held-out images, if the user has split them."""
        return self.parts.get(VAL) or self.parts.get(TEST)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(map(files.printable, self.folders))

    def labels(self, chosen: list[Path]) -> np.ndarray:
        """The class of each file, int64."""
        number = {name: label for label, name in enumerate(self.folders)}
        return np.array([number[file.parent.name] for file in chosen], np.int64)

    def files(self, part: Path, notes: list[str]) -> list[Path]:
        """The image files of a part, class by class, each class in the order of the hashes.

        Args:
            part: its folder.
            notes: gets a line that says which files are left out.

        Raises:
            UserError: a folder cannot be read.
        """
        chosen: list[Path] = []
        others: collections.Counter[str] = collections.Counter()
        with files.reading(part):
            for folder in filter(Path.is_dir, (part / name for name in self.folders)):
                found = [path for path in _visible(folder) if path.is_file()]
                chosen += sorted(
                    (path for path in found if path.suffix.lower() in images.SUFFIXES), key=_hash
                )
                others.update(path.suffix for path in found if path.suffix.lower() not in images.SUFFIXES)
        if others:
            kinds = ", ".join(f"{n} {suffix or 'without suffix'}" for suffix, n in sorted(others.items()))
            notes.append(f"{part}: left out files that are no {', '.join(images.SUFFIXES)}: {kinds}")
        return chosen


def _parts(root: Path) -> dict[str, Path]:
    names = set(_subfolders(root))
    has_train_and_more = TRAIN in names and len(names & PARTS.keys()) > 1
    # A folder may also have a class that is called "train".
    if not has_train_and_more and not (names and names <= PARTS.keys()):
        return {}
    parts: dict[str, Path] = {}
    for name in filter(names.__contains__, PARTS):
        parts.setdefault(PARTS[name], root / name)  # of both val and validation, the first one counts
    return parts


def _visible(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if not path.name.startswith(".")]


def _subfolders(root: Path) -> Iterator[str]:
    return (path.name for path in _visible(root) if path.is_dir())


def _hash(file: Path) -> tuple[bytes, str]:
    return hashlib.sha256(os.fsencode(file.name)).digest(), file.name


def without_broken(
    tree: Tree, found: list[Path], strict: bool, notes: list[str]
) -> dict[Path, checking.Finding]:
    """What is known of the files that can be decoded.

    Args:
        tree: that they are in.
        found: the files.
        strict: refuse broken images, and decode all of them to find those.
        notes: gets a line that names the broken ones.

    Raises:
        UserError: there is a broken image, and `strict` is asked for.
    """
    findings = checking.check(tree.root, found, whole=strict)
    broken = [file for file in found if findings[file].broken]
    if broken:
        message = f"{len(broken)} of {len(found)} images: {', '.join(map(str, broken))}"
        if strict:
            raise UserError(f"Cannot decode {message}; without strict they are left out.")
        notes.append(f"skipped {message}")
    return {file: finding for file, finding in findings.items() if not finding.broken}
