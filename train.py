"""The front door `python train.py`, which is `bnn train`; --help lists the flags."""

import sys

from bnn_keras.cli import main

if __name__ == "__main__":
    sys.exit(main("train"))
