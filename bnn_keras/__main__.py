"""The front door `python -m bnn_keras VERB`; see `bnn_keras.cli`."""

import sys

from bnn_keras.cli import main

sys.exit(main())
