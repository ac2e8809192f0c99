"""Larq needs Keras 2, which must be chosen before TensorFlow is first imported."""

import os
import sys
import warnings

VARIABLE = "TF_USE_LEGACY_KERAS"
ACCEPTED = ("1", "true", "True")  # what TensorFlow takes for yes


def require() -> None:
    """Make Keras 2 the `tf.keras` of this process.

    Raises:
        ImportError: TensorFlow is already imported and its `tf.keras` is Keras 3.
    """
    if "tensorflow" not in sys.modules:
        received = os.environ.get(VARIABLE, "1")
        if received not in ACCEPTED:
            warnings.warn(
                f"{VARIABLE}={received} is set, but Larq needs Keras 2: bnn_keras sets it to 1 here.",
                stacklevel=3,
            )
        os.environ[VARIABLE] = "1"
    elif not _keras_is_2():
        raise ImportError(
            f"TensorFlow was imported before bnn_keras and runs Keras 3, while Larq needs Keras 2: "
            f"import bnn_keras first, or set {VARIABLE}=1 in the environment before Python starts "
            f"(received: {VARIABLE}={os.environ.get(VARIABLE, 'not set')})."
        )


def _keras_is_2() -> bool:
    # If tf.keras was not used before, this loads it, by the present value of the variable.
    return sys.modules["tensorflow"].keras.Model.__module__.startswith("tf_keras.")
