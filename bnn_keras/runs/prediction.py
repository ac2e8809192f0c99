"""Asking a trained network for the classes of images: of arrays, and of files and folders."""

import collections
import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import numpy as np

from bnn_keras import files
from bnn_keras.data.sources.images import PARALLEL_CALLS, SUFFIXES
from bnn_keras.errors import UserError
from bnn_keras.nn import memory
from bnn_keras.runs.trained import TrainedNetwork

TOP = 5
BATCH = 32  # images


@dataclasses.dataclass(frozen=True)
class FileAnswer:
    """What a network says about an image file.

    Args:
        path: of the file.
        classes: pairs of class name and probability, the likeliest class first; empty if there is an error.
        error: the sentence that says why the file cannot be read; None if it was read.
    """

    path: Path
    classes: list[tuple[str, float]]
    error: str | None = None


def predict(network: TrainedNetwork, images: np.ndarray, top: int = TOP) -> list[list[tuple[str, float]]]:
    """Name the likeliest classes of images.

    Args:
        network: of `bnn_keras.load`. Without class names its classes are called by their numbers.
        images: RGB in [0, 255], float32 [batch, height, width, 3]; `network.read_image` reads one.
        top: classes of an image.

    Returns:
        For each image pairs of class name and probability, the likeliest class first.

    Raises:
        UserError: the network is no classifier.

    Example:
        >>> import bnn_keras
        >>> from bnn_keras import data
        >>> network = bnn_keras.load("runs/small")
        >>> images, labels = next(data.open("digits").test(4).as_numpy_iterator())
        >>> answers = bnn_keras.predict(network, images, top=3)
        >>> len(answers), len(answers[0])
        (4, 3)
    """
    network.check_classifier()
    names = network.class_names or tuple(map(str, range(network.classes)))
    rows = probabilities(network.logits(images))
    ranking = np.argsort(-rows, axis=-1, kind="stable")[:, :top]
    return [[(names[k], float(row[k])) for k in ranked] for row, ranked in zip(rows, ranking, strict=True)]


def predict_files(
    network: TrainedNetwork,
    paths: Iterable[str | os.PathLike],
    top: int = TOP,
    batch_size: int = BATCH,
) -> Iterator[FileAnswer]:
    """Name the likeliest classes of image files. A file that cannot be read does not stop the others.

    Args:
        network: as for `predict`.
        paths: of image files and of folders. A folder stands for all image files in it and in its
            subfolders, sorted; hidden ones and links to folders are left out.
        top: classes of an image.
        batch_size: images in memory at a time.

    Returns:
        An answer for each file, in order, each batch as soon as it is known.

    Raises:
        UserError: the network is no classifier, a folder has no images or cannot be read, or a batch does not
            fit into memory.

    Example:
        >>> import bnn_keras
        >>> network = bnn_keras.load("runs/small")
        >>> [(answer.path.name, answer.error) for answer in bnn_keras.predict_files(network, ["no.jpg"])]
        [('no.jpg', 'Cannot read no.jpg: No such file or directory.')]
    """
    network.check_classifier()
    found = image_files(paths)
    if network.model is not None and found:
        memory.check_batch(network.model, min(batch_size, len(found)))
    return _answers(network, found, top, batch_size)


def _answers(
    network: TrainedNetwork, found: Sequence[Path], top: int, batch_size: int
) -> Iterator[FileAnswer]:
    def read(path: Path) -> np.ndarray | UserError:
        try:
            return network.read_image(path)
        except UserError as error:
            return error

    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        for start in range(0, len(found), batch_size):
            batch = found[start : start + batch_size]
            results = list(pool.map(read, batch))
            images = [result for result in results if not isinstance(result, UserError)]
            rows = iter(predict(network, np.stack(images), top) if images else ())
            for path, result in zip(batch, results, strict=True):
                if isinstance(result, UserError):
                    yield FileAnswer(path, [], str(result))
                else:
                    yield FileAnswer(path, next(rows))


def image_files(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """The files that paths stand for, see `predict_files`; a note on standard error tells what is left out.

    Raises:
        UserError: a folder has no images, or cannot be read.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        found += _images_in(path) if os.path.isdir(path) else [path]
    return found


def _images_in(folder: Path) -> list[Path]:
    visible: list[Path] = []
    for above, folders, names in os.walk(folder, onerror=_unusable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible += [Path(above, name) for name in names if not name.startswith(".")]
    images = sorted(path for path in visible if path.suffix.lower() in SUFFIXES)
    suffixes = ", ".join(SUFFIXES)
    if not images:
        raise UserError(f"{folder} has no images: valid are files that end in {suffixes}.")
    others = collections.Counter(path.suffix for path in visible if path.suffix.lower() not in SUFFIXES)
    if others:
        kinds = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in sorted(others.items()))
        note = f"{folder}: left out files that do not end in {suffixes}: {kinds}"
        print(files.printable(note), file=sys.stderr)
    return images


def _unusable(error: OSError) -> NoReturn:
    raise files.unusable(error, error.filename)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits; rows that already are distributions stay as they are.

    Args:
        logits: [batch, classes].
    """
    if np.all(logits >= 0) and np.allclose(logits.sum(axis=-1), 1, atol=1e-3):
        return logits
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
