"""Binary neural networks that are trained in Keras and deployed as checked TFLite files."""

from bnn_keras import legacy_keras as _legacy_keras

_legacy_keras.require()

__version__ = "0.1.0"
