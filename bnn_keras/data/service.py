"""Batches that other processes or machines decode, by tf.data service."""

import contextlib
import math
import socket
from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from bnn_keras.data.dataset import Dataset
from bnn_keras.errors import UserError
from bnn_keras.settings.address import Address, split_address
from bnn_keras.settings.kinds import convert_value

SERVICE = tf.data.experimental.service
Server: TypeAlias = tf.data.experimental.service.DispatchServer | tf.data.experimental.service.WorkerServer
STREAMS = 8  # at most so many for a batch; more than there are workers, so that each has work
TIMEOUT = 5.0  # seconds


def start(dispatcher: str | None = None, port: int = 0, host: str = "localhost") -> Server:
    """Start a dispatcher, which hands out the work, or a worker, which decodes.

    Args:
        dispatcher: HOST:PORT of the dispatcher of the new worker; None starts a dispatcher.
        port: where the server listens; 0 is any free port.
        host: the name by which other machines reach a worker.

    Raises:
        UserError: the port is taken, or nothing listens at `dispatcher`.
    """
    if dispatcher is None:
        try:
            return SERVICE.DispatchServer(SERVICE.DispatcherConfig(port=port))
        except RuntimeError as error:  # the error does not say why
            raise UserError(f"Cannot listen at port {port}; is it taken?") from error
    check(dispatcher)
    # TensorFlow replaces %port% by the free port that it found.
    own = f"{host}:{port or '%port%'}"
    return SERVICE.WorkerServer(
        SERVICE.WorkerConfig(dispatcher_address=dispatcher, worker_address=own, port=port)
    )


def address(server: tf.data.experimental.service.DispatchServer) -> str:
    """HOST:PORT of a dispatcher, seen from its own machine."""
    return server.target.split("://")[1]


def check(dispatcher: str) -> None:
    """Check that something listens at HOST:PORT; TensorFlow would wait for it.

    Raises:
        UserError: nothing listens there, or this is no address.
    """
    address = split_address(convert_value("The address of a tf.data service", Address(), dispatcher))
    try:
        with contextlib.closing(socket.create_connection(address, TIMEOUT)):
            pass
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"No tf.data service answers at {dispatcher}: {error}. Start one with "
            f"python -m bnn_keras data-service."
        ) from error


def check_images(dataset: Dataset) -> None:
    """Check that a service can decode the images of a data set.

    Raises:
        UserError: some are WebP or TIFF files, which Pillow decodes in the process of the training.
    """
    if dataset.source.uses_pillow:
        raise UserError(
            f"A tf.data service decodes JPEG, PNG, BMP and GIF images only, and {dataset.name} has WebP or "
            f"TIFF files: convert them, or train without --data_service."
        )


def decoded_by(
    dispatcher: str,
    read: Callable[[tuple[int, int]], tf.data.Dataset],
    part: tuple[int, int],
    batch_size: int,
) -> tf.data.Dataset:
    """The batches of `read(part)`, decoded by the workers of a tf.data service.

    Every batch is divided into streams. One worker decodes a whole stream, in order. (If the service
    distributed single images among the workers, as it usually does, their order would be lost.)

    Args:
        dispatcher: HOST:PORT.
        read: gives the batches of a part (i, n), as `bnn_keras.data.Dataset.train` does.
        part: the part to read.
        batch_size: of all parts together.
    """
    index, parts = part
    streams = math.gcd(batch_size // parts, STREAMS)

    def stream(i: int) -> tf.data.Dataset:
        # One element to distribute: the worker that gets it decodes the whole stream.
        whole = tf.data.Dataset.range(1).flat_map(lambda _: read((index * streams + i, parts * streams)))
        return whole.apply(SERVICE.distribute(SERVICE.ShardingPolicy.DYNAMIC, f"grpc://{dispatcher}"))

    def join(*pieces: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.nest.map_structure(lambda *tensors: tf.concat(tensors, 0), *pieces)

    batches = tf.data.Dataset.zip(tuple(stream(i) for i in range(streams))).map(join)
    return batches.prefetch(tf.data.AUTOTUNE)
