"""Disks that are full or read-only, and two processes in one folder: whole files or none, and a sentence."""

import contextlib
import dataclasses
import functools
import os
import shutil
import time
import types
from pathlib import Path

import pytest

from bnn_keras import cli, deploy, files
from bnn_keras.distillation.cache import Cache
from bnn_keras.distillation.teacher import Teacher
from bnn_keras.distillation.views import FixedViews
from bnn_keras.errors import UserError
from bnn_keras.report import charts
from bnn_keras.runs import RunFolder, trained
from tests import networks, small_run

RUN = Path(__file__).parent / "fixtures" / "finished"
LARGE = 50_000  # KiB


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    """A file to convert. It is loaded and converted once, and pictures are not drawn, but are as large."""
    path = tmp_path_factory.mktemp("model") / "m.keras"
    networks.network_around(networks.binary_conv()).save(path)
    real, results = deploy.convert, []

    def convert(*arguments, **options):
        results.append(results[0] if results else real(*arguments, **options))
        return results[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy, "convert", convert)
        patch.setattr(trained, "load", functools.cache(trained.load))
        patch.setattr(charts, "svg", lambda *_: bytes(20_000))
        patch.setattr(charts, "png", lambda *_: bytes(90_000))
        yield path


@functools.cache
def teacher():
    return Teacher("t", small_run.network())


def cache(folder):
    views = FixedViews.from_dataset(small_run.digits(), views=2)
    return Cache(folder, teacher(), views, batch_size=16, seed=3)


def writes(what, place, model):
    """The exit status of a command that writes to a folder; `model` is a file to convert."""
    if what == "convert":
        return cli.run(
            ["convert", str(model), "--dataset=samples", "--images=1", f"--output={place / 'm.tflite'}"]
        )
    if what == "report":
        return cli.run(["report", "page", str(place / "run")])
    if what == "evaluate":
        return cli.run(["evaluate", str(RUN), "--limit=1", f"--json={place / 'e.json'}"])
    if what == "preview":
        return cli.run(["preview", "--images=1", "--epochs=1", f"--output={place / 'p.png'}"])
    try:
        cache(place / "cache").prepare([0, 1])
    except UserError as error:
        return cli.door._mistake(str(error))
    return 0


# What is there when it was written, and KiB of disks on which it does not all have room.
WRITTEN = {
    "convert": (["m.json", "m.tflite"], (4, 12)),
    "report": (["run/report.html", "run/pictures/curves.png", "run/pictures/flips.png"], (304, 400)),
    "evaluate": (["e.json"], (0,)),
    "preview": (["p.png"], (4,)),
    "cache": (["cache/key.json", "cache/view0.logits", "cache/view1.logits"], (4, 8)),
}
TWINS = (("report", 304), ("report", "read-only"))


@pytest.mark.parametrize(
    ("what", "kib"),
    [
        pytest.param(what, kib, marks=pytest.mark.large if (what, kib) in TWINS else ())
        for what, (_, sizes) in WRITTEN.items()
        for kib in (*sizes, "read-only")
    ],
)
def test_a_full_or_read_only_disk(what, kib, small_disk, patched, capfd):
    place = small_disk(LARGE if kib == "read-only" else kib or 4)
    if what == "report":
        shutil.copytree(RUN, place / "run")
    if kib == 0:
        (place / "filler").write_bytes(b"x" * 4096)
    if kib == "read-only":
        small_disk(LARGE, again=True, access="ro")
    assert writes(what, place, patched) == 2
    (sentence,) = capfd.readouterr().err.splitlines()
    reason = "Read-only file system" if kib == "read-only" else "no space left on the device"
    assert sentence.startswith("error: Cannot write ") and reason in sentence
    names = WRITTEN[what][0]
    assert not list(place.rglob("*.partial*")) and not all((place / name).exists() for name in names)
    small_disk(LARGE, again=True)
    assert writes(what, place, patched) == 0
    assert all((place / name).stat().st_size for name in names)


def in_a_child(work):
    """Start a function in a forked process; the returned function waits for its end."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return lambda: os.waitpid(child, 0)


def test_two_processes_cache_logits_one_after_the_other(tmp_path, monkeypatch):
    folder, order = tmp_path / "cache", tmp_path / "order"
    monkeypatch.setattr(Cache, "_prepare", lambda self, views: order.write_text("second"))
    with files.locked(folder):
        dataset = types.SimpleNamespace(decoding=contextlib.nullcontext)
        wait = in_a_child(lambda: Cache(folder, None, dataset, 1, 0).prepare([0]))
        time.sleep(0.2)
        assert not order.exists()
    wait()
    assert order.read_text() == "second"


def test_the_two_files_of_a_conversion_are_written_under_a_lock(tmp_path, patched, monkeypatch):
    """Otherwise they may be those of two conversions that end at once."""
    seen, locked = [], files.locked

    @contextlib.contextmanager
    def watched(folder):
        with locked(folder):
            seen.append((folder, list(folder.iterdir())))
            yield
            seen.append((folder, sorted(path.name for path in folder.iterdir())))

    monkeypatch.setattr(files, "locked", watched)
    assert writes("convert", tmp_path, patched) == 0
    assert seen == [(tmp_path, []), (tmp_path, ["m.json", "m.tflite"])]


def test_of_two_trainings_that_begin_at_once_one_claims_the_folder(tmp_path):
    config = RunFolder(RUN).read_config()
    folder = RunFolder(tmp_path / "run")
    with files.locked(folder.path):
        wait = in_a_child(lambda: folder.claim(config))
        assert not folder.config.exists()
    wait()
    written = folder.config.read_bytes()
    folder.claim(config)
    assert folder.config.read_bytes() == written
    folder.finished.touch()  # from the first checkpoint on, the folder is taken
    with pytest.raises(UserError, match="holds a different run"):
        folder.claim(dataclasses.replace(config, seed=99))


def test_a_training_leaves_the_partial_files_of_a_report_alone(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.claim(RunFolder(RUN).read_config())
    other = folder.path / f".report.{os.getppid()}.partial.html"
    gone = folder.path / f".report.{2**22 + 1}.partial.html"
    for path in (other, gone):
        path.touch()
    with folder.locked():
        assert other.exists() and not gone.exists()
