"""Generated cases in a process of their own: in this one, TensorFlow may have started threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bnn_keras import cli
from tests.fuzz.cases import STARTS

ROOT = Path(__file__).parents[2]
# Large pages: a fork copies the table of the pages.
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "PYTHONMALLOC": "malloc"}
MEASURES = "benchmark"  # for minutes, whatever its flags are


def fuzz(*options):
    environment = {**os.environ, **LARGE_PAGES, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz", *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_every_verb_is_run():
    assert set(STARTS) == set(cli.VERBS) - {MEASURES}


def test_500_cases():
    with fuzz("--count=500") as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output[-5000:]


@pytest.mark.large
def test_20000_cases():
    both = [fuzz("--count=10000", f"--seed={seed}") for seed in (10_000, 20_000)]
    outputs = [process.communicate()[0] for process in both]
    print(*outputs, sep="\n")
    assert [process.returncode for process in both] == [0, 0], outputs
