"""One device or many: the strategy, what each worker reads, and which of them writes."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf
from absl import flags

from bnn_keras.errors import UserError, one_of

STRATEGIES = ("none", "mirrored", "multiworker")
CLUSTER = "TF_CONFIG"
OPTIONS = ("sync_batch_norm", "data_service")  # flags that are options of `bnn_keras.training.fit.train`


def define_flags(values: flags.FlagValues) -> None:
    """Define the flags that say on what a run is carried out."""
    meaning = f"none, mirrored or multiworker; multiworker where {CLUSTER} is set, else none, if not given"
    flags.DEFINE_string("strategy", None, meaning, flag_values=values)
    meaning = "BatchNorm over the images of all replicas instead of each one's own"
    flags.DEFINE_boolean("sync_batch_norm", False, meaning, flag_values=values)
    meaning = "HOST:PORT of a tf.data service that decodes; python -m bnn_keras data-service starts one"
    flags.DEFINE_string("data_service", None, meaning, flag_values=values)


def strategy(name: str | None) -> tf.distribute.Strategy:
    """The strategy in whose scope a network is built; to be called before any TensorFlow operation.

    Args:
        name: "none" is one device, "mirrored" all GPUs of this machine, "multiworker" the workers
            that the environment variable TF_CONFIG lists, this process being one of them. None is
            "multiworker" where that is set, and "none" elsewhere.

    Raises:
        UserError: an unknown name, or no cluster in TF_CONFIG.
    """
    if name is None:
        name = "multiworker" if CLUSTER in os.environ else "none"
    if name not in STRATEGIES:
        raise one_of("strategy", name, STRATEGIES)
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multiworker":
        _check_cluster(os.environ.get(CLUSTER))
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def _check_cluster(text: str | None) -> None:
    """Raise UserError for a TF_CONFIG that TensorFlow would take for a cluster of one, or choke on."""
    try:
        config = json.loads(text or "null")
        task, cluster = config["task"], config["cluster"]
        cluster[task["type"]][int(task["index"])]
    except (ValueError, TypeError, LookupError):
        raise UserError(
            f"--strategy=multiworker needs {CLUSTER} in the environment, with the addresses of all workers "
            f'and which of them this is, such as {{"cluster": {{"worker": ["a:2222", "b:2222"]}}, "task": '
            f'{{"type": "worker", "index": 0}}}}; python -m bnn_keras launch sets it. Received: {text}.'
        ) from None


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
    """`path` for the chief; a place that is forgotten for the others.

    They must write too: the replicas keep BatchNorm's statistics apart, and whoever reads their mean
    does so together with all the others.
    """
    if is_chief(strategy):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="bnn_keras_worker") as folder:
        yield Path(folder) / path.name


def synchronize_batch_norm(network: tf.keras.Model) -> None:
    """Make every BatchNorm take its statistics over the images of all replicas.

    It is how a network is trained, not what it is: its config and its saved file are the same.
    """
    if network.distribute_strategy.num_replicas_in_sync == 1:
        return
    for layer in network.submodules:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            # The fused operation knows nothing of replicas.
            layer.synchronized, layer.fused = True, False


def check_batch(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Raise UserError if the replicas cannot share out a batch of so many images."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(
            f"The batch size must be a multiple of the {replicas} replicas. Received: {batch_size}."
        )


def share_out(
    strategy: tf.distribute.Strategy, read: Callable[[tuple[int, int]], tf.data.Dataset]
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Batches for `fit`: every replica gets its own part, and each worker reads those of its replicas.

    Args:
        strategy: of the network.
        read: gives the batches of a part (i, n), as `bnn_keras.data.Dataset.train` does.
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
