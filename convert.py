"""The front door `python convert.py`, which is `bnn convert`; --help lists the flags."""

import sys

from bnn_keras.cli import main

if __name__ == "__main__":
    sys.exit(main("convert"))
