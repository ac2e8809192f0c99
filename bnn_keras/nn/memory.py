"""What cannot fit into this machine's memory is refused before it is tried."""

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from bnn_keras.errors import UserError

LIMIT = Path("/sys/fs/cgroup/memory.max")  # of the container that this process runs in
GIB = 2**30
FLOAT = 4  # bytes


def available() -> int:
    """Bytes that this process can still take: those of the machine, or its container's limit."""
    free = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    found = int(free[1]) * 1024 if free else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = LIMIT.read_text().strip() if LIMIT.is_file() else "max"
    return found if limit == "max" else min(found, int(limit))


def check(needed: int, what: str) -> None:
    """Check that something fits into memory.

    Args:
        needed: bytes.
        what: needs them; the beginning of the sentence.

    Raises:
        UserError: it does not fit.
    """
    free = available()
    if needed > free:
        raise UserError(
            f"{what} would take {needed / GIB:,.1f} GiB of memory; {free / GIB:.1f} GiB are free."
        )


@contextlib.contextmanager
def checked_weights(name: str) -> Iterator[None]:
    """Refuse a network, while it is built, at the first weight with which it no longer fits.

    Args:
        name: of the network.

    Raises:
        UserError: it does not fit.
    """
    total, free = 0, available()

    def create(make: Callable[..., tf.Variable], **settings: Any) -> tf.Variable:
        nonlocal total
        total += FLOAT * (tf.TensorShape(settings.get("shape")).num_elements() or 0)
        if total > free:
            check(total, f"The weights of {name}")
        return make(**settings)

    with tf.variable_creator_scope(create):
        yield


def check_batch(network: tf.keras.Model, batch_size: int) -> None:
    """Check that the largest tensor between two layers fits, for a whole batch.

    Args:
        network: a functional model.
        batch_size: images in a batch.

    Raises:
        UserError: it does not fit.
    """
    outputs = [node.outputs for layer in network.layers for node in layer.inbound_nodes]
    largest = max(math.prod(edge or 1 for edge in tensor.shape[1:]) for tensor in tf.nest.flatten(outputs))
    check(FLOAT * batch_size * largest, f"The largest tensor of {network.name} for {batch_size} images")
