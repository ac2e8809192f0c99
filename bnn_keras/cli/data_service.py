"""Serve a tf.data service, for trainings that need more decoded images than one machine gives.

bnn data-service --port=5050             the dispatcher, which hands out work
bnn data-service --dispatcher=HOST:5050  a worker, on each decoding machine
bnn train --data_service=HOST:5050 …

All of them must see the data under the same path. The images come in the same order as without a
service, so the weights are the same.
"""

import threading

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.flags import Flag
from bnn_keras.settings.address import LARGEST_PORT, Address, Host
from bnn_keras.settings.kinds import Number

FLAGS = [
    Flag("port", Number(0, LARGEST_PORT, whole=True), "where this server listens; any free port if 0", 0),
    Flag("dispatcher", Address(), "the dispatcher; this server is the dispatcher if not given"),
    Flag("host", Host(), "how the other machines reach this one", "localhost"),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Start a server and wait until it is stopped."""
    from bnn_keras.data import service

    flags.no_more(positional)
    server = service.start(values.dispatcher, values.port, values.host)
    if values.dispatcher is None:
        print(f"hands out work at {service.address(server)}", flush=True)
    else:
        print(f"decodes for {values.dispatcher}", flush=True)
    # TensorFlow's own waiting does not return on Ctrl-C.
    threading.Event().wait()
