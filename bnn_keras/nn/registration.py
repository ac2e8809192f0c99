"""The traits of every kind of layer: Keras's, ours, and those that users register."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar, overload

import tensorflow as tf

from bnn_keras.errors import one_of
from bnn_keras.nn import bounds, keras_layers
from bnn_keras.nn.traits import Traits

Class = TypeVar("Class", bound=type)
FIELDS = tuple(field.name for field in dataclasses.fields(Traits))
_traits: dict[type, Traits] = dict(keras_layers.LAYERS)


@overload
def register(layer: Class, *, package: str = ..., **traits: Any) -> Class: ...
@overload
def register(layer: None = None, *, package: str = ..., **traits: Any) -> Callable[[Class], Class]: ...
def register(layer: Any = None, *, package: str = "Custom", **traits: Any) -> Any:
    """Make a layer or quantizer known to Keras and to this library.

    A model with layers that are registered can be saved and loaded, is counted by
    `bnn_keras.accounting`, is converted and verified by `bnn_keras.deploy`, and reads its weights from
    PyTorch checkpoints. It is a decorator:

        @nn.register(package="mine", bound=nn.bounds.monotone, elementwise=True)
        class Cut(tf.keras.layers.Layer):
            ...

    or takes a class, also one of Keras's own whose traits are not known yet:

        nn.register(tf.keras.layers.UnitNormalization, bound=my_bound)

    Args:
        layer: the class; None for use as a decorator.
        package: under which Keras saves the class, as for `register_keras_serializable`.
        traits: what the library has to know, see `bnn_keras.nn.Traits`; what is not given is as in the
            base class.

    Returns:
        The class, or a decorator.

    Raises:
        UserError: an unknown trait.
    """
    for key in traits:
        if key not in FIELDS:
            raise one_of("trait of a layer", key, FIELDS)

    def apply(cls: Class) -> Class:
        _traits[cls] = _complete(dataclasses.replace(_traits_of_class(cls), **traits))
        if _is_known_to_keras(cls):
            return cls
        return tf.keras.utils.register_keras_serializable(package)(cls)

    return apply if layer is None else apply(layer)


# For the layers of this library.
register_ours = functools.partial(register, package="bnn_keras")


def traits_of(layer: tf.keras.layers.Layer) -> Traits:
    """The traits of a layer: those of its class, or of the nearest base class that has some."""
    if is_function(layer):
        return keras_layers.FUNCTIONS.get(function_name(layer), keras_layers.UNKNOWN)
    return _traits_of_class(type(layer))


def is_function(layer: tf.keras.layers.Layer) -> bool:
    """Whether a layer is a TensorFlow function, as Keras puts them into functional models."""
    return type(layer).__name__ in ("TFOpLambda", "SlicingOpLambda")


def function_name(layer: tf.keras.layers.Layer) -> str:
    """The name of the function, such as "math.multiply"."""
    return layer.get_config()["function"]


def _traits_of_class(cls: type) -> Traits:
    return next((_traits[base] for base in cls.__mro__ if base in _traits), keras_layers.UNKNOWN)


def _complete(traits: Traits) -> Traits:
    if traits.moves and traits.bound is None:
        return dataclasses.replace(traits, bound=bounds.moves)
    return traits


def _is_known_to_keras(cls: type) -> bool:
    registered = tf.keras.saving.get_registered_name(cls) != cls.__name__
    return registered or cls.__module__.startswith("tf_keras.")
