"""A server of tf.data service, for trainings that decode more images than one machine can.

python -m bnn_keras data-service --port=5050                   one that hands out the work
python -m bnn_keras data-service --dispatcher=HOST:5050        on each machine that is to decode
python train.py --data_service=HOST:5050 …

All of them must see the data under the same path. The images come in the same order as without, so
that the weights are the same.
"""

import sys
import threading
from collections.abc import Sequence

from absl import flags

from bnn_keras.cli import command as cli
from bnn_keras.data import service


def flag_values() -> flags.FlagValues:
    """The flags, with their defaults."""
    values = flags.FlagValues()
    meaning = "where this server listens; any free port if 0"
    flags.DEFINE_integer("port", 0, meaning, flag_values=values, lower_bound=0, upper_bound=65535)
    meaning = "HOST:PORT of the server that hands out the work; this one is that server if not given"
    flags.DEFINE_string("dispatcher", None, meaning, flag_values=values)
    flags.DEFINE_string("host", "localhost", "by which name the others reach this one", flag_values=values)
    return values


def serve(values: flags.FlagValues, positional: list[str]) -> None:
    """Start a server and wait until it is stopped."""
    cli.no_more(positional)
    server = service.start(values.dispatcher, values.port, values.host)
    if values.dispatcher is None:
        print(f"hands out work at {service.address(server)}", flush=True)
    else:
        print(f"decodes for {values.dispatcher}", flush=True)
    # TensorFlow's own waiting does not hear Ctrl-C.
    threading.Event().wait()


def main(argv: Sequence[str] | None = None) -> int:
    """The door."""
    return cli.run(serve, flag_values(), __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
