"""Shared by the tests of training."""

import pytest

from bnn_keras import runs
from tests import small_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a finished and undisturbed run, and its network."""
    folder = runs.RunFolder(tmp_path_factory.mktemp("runs") / "finished")
    return folder, small_run.train(folder.path, drawn=True)
