"""Training on two devices of one process."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.large
def test_two_replicas():
    path = Path(__file__).with_name("two_replicas.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-o", "addopts=", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
