"""python -m bnn_keras VERB: see `bnn_keras.cli.verbs`."""

import sys

from bnn_keras.cli.verbs import main

sys.exit(main())
