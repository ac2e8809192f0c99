"""Run cases, print those with a flaw, and count."""

import argparse
import collections
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import bnn_keras  # noqa: F401  Keras 2 first
from tests.fuzz.cases import KINDS
from tests.fuzz.runner import Runner, cases

SHOWN_EVERY = 1000  # cases


def main() -> int:
    """Return 1 if a case has a flaw."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--kind", choices=KINDS, help="only this kind")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="number of cases")
    given = parser.parse_args()
    # A forked process would remove a folder that is bound to an object.
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    try:
        return run(Runner(folder), given)
    finally:
        os.chdir("/")
        shutil.rmtree(folder)


def processor_time() -> float:
    """Seconds of this process and of those that have ended."""
    return sum(os.times()[:4])


def run(runner: Runner, given: argparse.Namespace) -> int:
    """Run the cases, and print what came of them."""
    if "pth" not in KINDS:
        print("kind pth is left out: PyTorch is not installed")
    started, flaws = time.monotonic(), 0
    counts, seconds = collections.Counter(), collections.Counter()
    for kind, seed in cases(given.count, given.seed, given.kind):
        begun = processor_time()
        result = runner.run(kind, seed)
        counts[kind, result.status] += 1
        seconds[kind] += processor_time() - begun
        flaws += result.flaw is not None
        if result.flaw or given.count == 1:
            print(result, flush=True)
        if (done := sum(counts.values())) % SHOWN_EVERY == 0:
            print(f"{done} cases, {flaws} flaws", flush=True)
    for kind in seconds:
        ends = ", ".join(
            f"{n} with exit status {status}" for (k, status), n in sorted(counts.items()) if k == kind
        )
        print(f"{kind}: {ends}; {seconds[kind]:.1f} s")
    print(f"{given.count} cases from seed {given.seed}, {flaws} flaws, {time.monotonic() - started:.0f} s")
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
