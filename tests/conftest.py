"""Shared by all tests: Keras 2 first, and the folder of real samples where it is there."""

import gc
import os
import subprocess
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What is known of folders of images is kept here, and not in the user's own cache.
os.environ.setdefault("BNN_KERAS_CACHE", tempfile.mkdtemp(prefix="bnn-keras-tests-"))

import bnn_keras  # noqa: F401  isort: skip
import pytest

# Graphs are many small objects that live on: looking for garbage among them often takes long.
gc.set_threshold(50_000, 20, 20)
SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_finish() -> None:
    """What the imports have made lives on: it is not looked through again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published numbers and real images beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: it holds the published numbers and real images")
    return SHARED


@pytest.fixture
def eager():
    """Functions of TensorFlow run step by step: tracing takes more time than a few steps do."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def small_disk(tmp_path):
    """Makes a file system of so many KiB, or gives it more, or makes it read-only."""
    place = tmp_path / "disk"
    place.mkdir()

    def size(kib, again=False, access="rw"):
        options = ["-o", f"{'remount,' * again}{access},size={kib}k"]
        how = options if again else ["-t", "tmpfs", *options, "tmpfs"]
        done = subprocess.run(["mount", *how, str(place)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a file system of a few KiB cannot be mounted here: {done.stderr.strip()}")
        return place

    yield size
    subprocess.run(["umount", str(place)], capture_output=True)
