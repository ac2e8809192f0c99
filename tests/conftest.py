"""Shared by all tests: Keras 2 first, and the folder of real samples where it is there."""

import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import bnn_keras  # noqa: F401  isort: skip
import pytest

# Graphs are many small objects that live on: looking for garbage among them took a fifth of the time.
gc.set_threshold(50_000, 50, 1000)
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published numbers and real images beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: it holds the published numbers and real images")
    return SHARED
