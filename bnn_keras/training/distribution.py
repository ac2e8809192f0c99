"""Training on one or several devices: the strategy, what each worker reads, and which one writes."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf

from bnn_keras import files
from bnn_keras.errors import UserError, one_of
from bnn_keras.settings.address import CLUSTER, read_cluster

STRATEGIES = ("none", "mirrored", "multiworker")


def strategy_of(name: str | None) -> tf.distribute.Strategy:
    """The strategy in whose scope a network is built; call it before any TensorFlow operation.

    Args:
        name: "none" is one device, "mirrored" all GPUs of this machine, "multiworker" the workers
            that the environment variable TF_CONFIG lists, of which this process is one. None means
            "multiworker" if that variable is set, otherwise "none".

    Raises:
        UserError: an unknown name, or a TF_CONFIG that describes no cluster.
    """
    if name is None:
        name = "multiworker" if CLUSTER in os.environ else "none"
    if name not in STRATEGIES:
        raise one_of("strategy", name, STRATEGIES)
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multiworker":
        read_cluster(os.environ.get(CLUSTER))
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes the run folder."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


@contextlib.contextmanager
def place_to_write(strategy: tf.distribute.Strategy, path: Path) -> Iterator[Path]:
    """Give the chief `path`, and every other worker a temporary folder.

    The others must write too: each replica has its own BatchNorm statistics, and reading their mean is
    an operation that all workers take part in.
    """
    if is_chief(strategy):
        yield path
        return
    # A name of this worker of this run, so that it finds and removes what it left when it was killed.
    digest = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]
    folder = Path(tempfile.gettempdir(), f"bnn_keras_worker{strategy.cluster_resolver.task_id}-{digest}")
    with files.writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    try:
        yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def synchronize_batch_norm(network: tf.keras.Model) -> None:
    """Make every BatchNorm compute its statistics over the images of all replicas.

    This changes only the training: the network's config and its saved file stay the same.
    """
    if network.distribute_strategy.num_replicas_in_sync == 1:
        return
    for layer in network.submodules:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            # The fused operation cannot combine replicas.
            layer.synchronized, layer.fused = True, False


def check_batch(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Raise UserError unless a batch divides evenly among the replicas."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(
            f"The batch size must be a multiple of the {replicas} replicas. Received: {batch_size}."
        )


def share_out(
    strategy: tf.distribute.Strategy, read: Callable[[tuple[int, int]], tf.data.Dataset]
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Batches for `fit`: each replica gets its own part, and each worker reads the parts of its replicas.

    Args:
        strategy: of the network.
        read: returns the batches of part i of n, given as (i, n); see `bnn_keras.data.Dataset.train`.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return read((0, 1))

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = replicas // context.num_input_pipelines
        first = here * context.input_pipeline_id
        parts = [read((first + i, replicas)) for i in range(here)]
        if here == 1:
            return parts[0]
        return tf.data.Dataset.choose_from_datasets(parts, tf.data.Dataset.range(here).repeat())

    return strategy.distribute_datasets_from_function(of_worker)
