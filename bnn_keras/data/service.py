"""Batches that other processes or machines decode: tf.data service."""

import contextlib
import math
import socket
from collections.abc import Callable

import tensorflow as tf

from bnn_keras.errors import UserError

SERVICE = tf.data.experimental.service
STREAMS = 8  # of a batch at most; more than workers, so that all of them get some
TIMEOUT = 5.0  # seconds


def start(dispatcher: str | None = None, port: int = 0, host: str = "localhost"):
    """Start the server that hands out the work, or with `dispatcher`, its HOST:PORT, one that decodes.

    Raises:
        UserError: the port is taken, or nobody listens at `dispatcher`.
    """
    if dispatcher is None:
        try:
            return SERVICE.DispatchServer(SERVICE.DispatcherConfig(port=port))
        except RuntimeError as error:  # it says no more than that it could not
            raise UserError(f"Cannot listen at port {port}; is it taken?") from error
    check(dispatcher)
    # Without a port of its own TensorFlow fills in the one that it got.
    own = f"{host}:{port or '%port%'}"
    return SERVICE.WorkerServer(
        SERVICE.WorkerConfig(dispatcher_address=dispatcher, worker_address=own, port=port)
    )


def address(server: tf.data.experimental.service.DispatchServer) -> str:
    """HOST:PORT of a server, seen from its own machine."""
    return server.target.split("://")[1]


def check(dispatcher: str) -> None:
    """Raise UserError if nobody listens at HOST:PORT; TensorFlow itself would wait."""
    host, colon, port = dispatcher.rpartition(":")
    if not (host and colon and port.isdigit()):
        raise UserError(f"A tf.data service has an address like HOST:5050. Received: {dispatcher!r}.")
    try:
        with contextlib.closing(socket.create_connection((host, int(port)), TIMEOUT)):
            pass
    except (OSError, OverflowError) as error:
        raise UserError(
            f"No tf.data service answers at {dispatcher}: {error}; python -m bnn_keras data-service starts "
            f"one."
        ) from error


def decoded_by(
    dispatcher: str,
    read: Callable[[tuple[int, int]], tf.data.Dataset],
    part: tuple[int, int],
    batch_size: int,
) -> tf.data.Dataset:
    """The batches that `read(part)` gives, decoded by the workers of a tf.data service.

    A part of every batch is one stream, which one worker gives whole and in order. What a service
    otherwise does, to share out single images among its workers, keeps no order.

    Args:
        dispatcher: HOST:PORT.
        read: as `bnn_keras.data.Dataset.train`: gives the batches of a part (i, n).
        part: what is read.
        batch_size: of all parts.
    """
    index, parts = part
    streams = math.gcd(batch_size // parts, STREAMS)

    def stream(i: int) -> tf.data.Dataset:
        # One element to share out: a worker that gets it has the whole stream.
        whole = tf.data.Dataset.range(1).flat_map(lambda _: read((index * streams + i, parts * streams)))
        return whole.apply(SERVICE.distribute(SERVICE.ShardingPolicy.DYNAMIC, f"grpc://{dispatcher}"))

    def joined(*pieces):
        return tf.nest.map_structure(lambda *tensors: tf.concat(tensors, 0), *pieces)

    return (
        tf.data.Dataset.zip(tuple(stream(i) for i in range(streams))).map(joined).prefetch(tf.data.AUTOTUNE)
    )
