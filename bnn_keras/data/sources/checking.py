"""Which files of a folder are images: the headers are read at first, and the results are kept."""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import tensorflow as tf
from tqdm import tqdm

from bnn_keras import cache, files, json_file
from bnn_keras.data.sources import header, images
from bnn_keras.errors import UserError

LARGEST_CACHE = 2**31  # bytes; a million files take 100 MB
THREADS = 8  # that wait for the disk
DELAY = 2  # seconds until a progress bar is shown


class Finding(NamedTuple):
    """What is known of a file.

    Args:
        size, mtime: bytes and nanoseconds, by which a changed file is noticed.
        format, orientation, ends_well: see `header.Header`.
        decoded: whether the whole file could be decoded; None if that was not tried.
    """

    size: int
    mtime: int
    format: header.Format | None
    orientation: Annotated[int, msgspec.Meta(ge=1, le=8)]
    ends_well: bool
    decoded: bool | None = None

    @property
    def broken(self) -> bool:
        """Whether the file cannot be decoded."""
        return self.decoded is False

    @property
    def by_pillow(self) -> bool:
        """Whether it is Pillow that decodes it."""
        return self.format in header.BY_PILLOW


# Its size is that of no file, so that it is looked at again at the next start.
UNREADABLE = Finding(-1, 0, None, 1, False, False)


def check(root: Path, found: Sequence[Path], whole: bool = False) -> dict[Path, Finding]:
    """Find out which files are images.

    Of a file whose two ends are in order it is assumed that it can be decoded; the others are decoded.

    Args:
        root: the folder that all of them lie in.
        found: the files.
        whole: decode every file that has not been decoded before, with a progress bar.
    """
    known = _read_cache(root)
    findings = _glances(root, found, known)
    decoded = _decode({path: it for path, it in findings.items() if _needs_decoding(it, whole)})
    for path, could in decoded.items():
        findings[path] = findings[path]._replace(decoded=could)
    now = known | {_name(path, root): finding for path, finding in findings.items()}
    if now != known:
        _write_cache(root, now)
    return findings


def _needs_decoding(finding: Finding, whole: bool) -> bool:
    return finding.decoded is None and (whole or not finding.ends_well)


def _glances(root: Path, found: Sequence[Path], known: dict[str, Finding]) -> dict[Path, Finding]:
    """What is known of each file, or what its two ends tell."""

    def glance(path: Path) -> Finding:
        try:
            stat = path.stat()
            before = known.get(_name(path, root))
            if before is not None and before[:2] == (stat.st_size, stat.st_mtime_ns):
                return before
            with path.open("rb") as file:
                return Finding(stat.st_size, stat.st_mtime_ns, *header.read(file))
        except OSError:
            return UNREADABLE

    with ThreadPool(THREADS) as pool:
        results = pool.imap(glance, found, 64)
        return dict(zip(found, _bar(results, len(found), "reading headers"), strict=True))


def _decode(findings: dict[Path, Finding]) -> dict[Path, bool]:
    """Decode whole files in parallel; whether each of them could be decoded."""
    if not findings:
        return {}

    def check(index: tf.Tensor, record: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        contents = images.read_file(record["path"], record["by_pillow"])
        return index, tf.shape(images.decode(contents))

    paths = [os.fsencode(path) for path in findings]
    records = {"path": paths, "by_pillow": [finding.by_pillow for finding in findings.values()]}
    checked = tf.data.Dataset.from_tensor_slices(records).enumerate()
    checked = checked.map(check, num_parallel_calls=images.PARALLEL_CALLS).ignore_errors()
    whole = {int(index) for index, _ in _bar(checked, len(paths), "decoding images")}
    return {path: i in whole for i, path in enumerate(findings)}


def _bar(items: Iterable, total: int, what: str) -> Iterable:
    """The same items, with a progress bar on a terminal if they take long."""
    return tqdm(items, what, total, delay=DELAY, disable=None, leave=False)


def _name(path: Path, root: Path) -> str:
    return str(path)[len(str(root)) + 1 :]


def cache_file(root: Path) -> Path | None:
    """The file that keeps what is known of a folder; None if the user has no home folder."""
    home = cache.folder()
    if home is None:
        return None
    key = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()
    return Path(home, "folders", f"{key}.json")


def _read_cache(root: Path) -> dict[str, Finding]:
    """What is known of the files of a folder, by their names in it; nothing if the cache is damaged."""
    path = cache_file(root)
    if path is None or not path.is_file():
        return {}
    try:
        return json_file.read_json(path, dict[str, Finding], "what is known of a folder", LARGEST_CACHE)
    except UserError as error:
        print(f"{error} The files are checked anew.", file=sys.stderr)
        return {}


def _write_cache(root: Path, findings: dict[str, Finding]) -> None:
    path = cache_file(root)
    if path is None:
        return
    try:
        files.write_text(path, json.dumps(findings))
    except UserError as error:
        again = "The next start checks the files again"
        print(f"{error} {again}; {cache.VARIABLE} names another folder.", file=sys.stderr)
