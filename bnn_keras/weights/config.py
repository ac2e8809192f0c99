"""The configuration in a model file: parsed once, checked, and rebuilt from plain values.

What Keras is given is the tree that was built here, never the file. It holds the classes and
functions of `bnn_keras.weights.allowed` and of the running program, numbers, words that were expected
in their place, and nothing else.
"""

import dataclasses
import functools
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.weights import allowed

Tree = dict[str, Any]

CONSTANT = "_CONSTANT_VALUE"  # how Keras marks a call's first argument that is not a tensor
ANY = "class or function"  # the role of an object in the config of the program's own classes
LIBRARIES = ("keras", "larq", "larq_zoo", "tensorflow", "tf_keras")
LAYERS_AT_MOST, ROUNDS_AT_MOST = 20_000, 1_000
LONGEST_NAME = 1_000
FUNCTION_LAYERS = frozenset(" ".join(allowed.FUNCTION_LAYERS).split())


def read_config(content: bytes, path: str | os.PathLike) -> Tree:
    """Parse and check the configuration of a model.

    Args:
        content: JSON.
        path: of the file that it is from, for the message.

    Returns:
        The tree from which `tf.keras.saving.deserialize_keras_object` builds the model, uncompiled.

    Raises:
        UserError: it is not JSON, names a class or function that is not allowed, or holds a value that is
            not allowed in its place.
    """
    try:
        tree = json.loads(content, object_pairs_hook=functools.partial(_without_duplicates, path))
        return _Checker(path).named(tree, "layer")
    except UserError:
        raise
    except ValueError as error:  # also of a number with thousands of digits
        raise UserError(
            f"{path} is not a whole .keras file: its config.json is not JSON ({error})."
        ) from error
    except RecursionError as error:
        raise UserError(f"{path} is refused: its config.json is nested too deeply.") from error


def _without_duplicates(path: str | os.PathLike, pairs: list[tuple[str, Any]]) -> Tree:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path} is refused: its config.json holds a key twice ({twice!r}).")
    return tree


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A class that a file may name.

    Args:
        module: in which Keras finds it.
        registered_name: under which it is registered with Keras, if it is.
        keys: of its config.
    """

    module: str
    registered_name: str | None
    keys: frozenset[str]


@functools.cache
def symbols(role: str) -> Mapping[str, Symbol]:
    """The classes that a file may name in a role, by their names.

    Args:
        role: of `allowed.ROLES`, or `ANY`.
    """
    if role == ANY:
        return {name: symbol for each in allowed.SYMBOLS for name, symbol in symbols(each).items()}
    if role == "activation":  # a layer may be one
        return symbols("layer")
    found = {}
    for module, is_registered, classes in allowed.SYMBOLS[role]:
        for names, keys in classes.items():
            every_key = frozenset(_expand(f"BASE {keys}"))
            for name in names.split():
                found[name] = Symbol(module, name if is_registered else None, every_key)
    return found


def _expand(keys: str) -> Iterator[str]:
    """The keys in place of the names of groups."""
    for key in keys.split():
        if key in allowed.GROUPS:
            yield from _expand(allowed.GROUPS[key])
        else:
            yield key


@functools.cache
def words(key: str) -> frozenset[str]:
    """The words that a key's value may be; for a key that names objects, the objects known by a name."""
    role = role_of(key)
    if role == "activation":
        return frozenset(f"{allowed.ACTIVATIONS} {allowed.LARQ_FUNCTIONS}".split())
    if role == "quantizer":
        return frozenset(allowed.LARQ_FUNCTIONS.split())
    if role in ("initializer", "constraint", "regularizer"):
        names = symbols(role)
        return frozenset([*names, *(_snake_case(name) for name in names)])
    return frozenset(allowed.WORDS.get(key, "").split())


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@functools.cache
def role_of(key: str) -> str | None:
    """The role of the object that a key names; None if it names none."""
    return next((role for pattern, role in allowed.ROLES.items() if re.fullmatch(pattern, key)), None)


class _Checker:
    """Builds the checked copy of a tree.

    Args:
        path: of the file, for the messages.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = path

    def named(self, item: Any, role: str) -> Tree:
        """A class with its config."""
        if not isinstance(item, dict) or not isinstance(item.get("class_name"), str):
            self._refuse(f"it holds {_shown(item)} where a {role} belongs")
        registered_name = item.get("registered_name")
        if _is_own(registered_name):
            checked = {
                "module": None,
                "class_name": _registered(registered_name).__name__,
                "config": self._plain(item.get("config")),
                "registered_name": registered_name,
            }
        else:
            checked = self._listed(item, role)
        if "build_config" in item:
            checked["build_config"] = self._plain(item["build_config"])
        # An object that several others share is stored with each of them under one number.
        if isinstance(item.get("shared_object_id"), int):
            checked["shared_object_id"] = item["shared_object_id"]
        if "inbound_nodes" in item:
            is_function = checked["class_name"] in FUNCTION_LAYERS
            texts = frozenset(allowed.ARGUMENTS.split() if is_function else ())
            checked["name"] = self._name(item.get("name"))
            checked["inbound_nodes"] = calls = self._arguments(item["inbound_nodes"], texts)
            if not isinstance(calls, list) or not all(map(_takes_tensor, calls)):
                self._refuse(f"the layer {checked['name']!r} is called without a tensor")
        return checked

    def _listed(self, item: Tree, role: str) -> Tree:
        name, module = item["class_name"], item.get("module")
        symbol = symbols(role).get(name)
        if symbol is None or module != symbol.module:
            self._refuse_symbol(name, module, role)
        config = item.get("config") or {}
        if not isinstance(config, dict):
            self._refuse(f"the config of {name!r} is {_shown(config)}")
        for key in config:
            if key not in symbol.keys:
                self._refuse(f"the config of {name!r} holds the unknown key {key!r}")
        checked = {key: self._value(key, value) for key, value in config.items()}
        if name == "Functional":
            self._check_graph(checked)
        return {
            "module": symbol.module,
            "class_name": name,
            "config": checked,
            "registered_name": symbol.registered_name,
        }

    def _check_graph(self, config: Tree) -> None:
        layers = config.get("layers")
        if not isinstance(layers, list) or not all("inbound_nodes" in layer for layer in layers):
            self._refuse("a model in it has no list of connected layers")
        if len(layers) > LAYERS_AT_MOST:
            self._refuse(f"a model in it has {len(layers):,} layers, more than {LAYERS_AT_MOST:,}")
        config["layers"] = _Rounds(layers)

    def _value(self, key: str, value: Any) -> Any:
        role = role_of(key)
        if key == "name":
            return self._name(value)
        if key in ("input_layers", "output_layers"):
            return self._arguments(value, frozenset())
        if key in ("layers", "cells") and isinstance(value, list):
            return [self.named(item, "layer") for item in value]
        if isinstance(value, str):
            return self._word(key, value)
        if role is not None and isinstance(value, dict):
            if value.get("class_name") == "function":
                return self._function(key, value)
            return self.named(value, role)
        return self._numbers(value)

    def _word(self, key: str, value: str) -> str:
        if value in words(key) or _is_own(value):
            return value
        if key == "equation" and re.fullmatch(allowed.EQUATION, value):
            return value
        what = role_of(key) or key
        if key == "function" or role_of(key):
            self._refuse_symbol(value, None, what)
        return self._refuse(f"{_shown(value)} is not valid as {what}")

    def _function(self, key: str, value: Tree) -> Tree:
        name = self._word(key, str(value.get("config")))
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": name}

    def _name(self, value: Any) -> Any:
        if value is not None and not (
            isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_NAME
        ):
            self._refuse(f"{_shown(value)} is not valid as a name")
        return value

    def _numbers(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, list):
            return [self._numbers(item) for item in value]
        if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
            inner = value.get("config")
            if isinstance(inner, dict) and set(inner) == {"value", "dtype"}:
                checked = {
                    "value": self._numbers(inner["value"]),
                    "dtype": self._value("dtype", inner["dtype"]),
                }
                return {"class_name": value["class_name"], "config": checked}
        return self._refuse(f"it holds {_shown(value)} where numbers belong")

    def _arguments(self, value: Any, texts: frozenset[str]) -> Any:
        """What layers are called with: numbers, outputs of layers [name, call, output, more], texts."""
        if isinstance(value, dict):
            return {self._name(key): self._arguments(item, texts) for key, item in value.items()}
        if isinstance(value, list):
            if len(value) in (3, 4) and isinstance(value[0], str) and value[0] not in texts:
                rest = [self._arguments(item, texts) for item in value[1:]]
                return [self._name(value[0]), *rest]
            return [self._arguments(item, texts) for item in value]
        if isinstance(value, str):
            if value in texts or (texts and re.fullmatch(allowed.EQUATION, value)):
                return value
            self._refuse(f"{_shown(value)} is not valid as an argument")
        return self._numbers(value)

    def _plain(self, value: Any) -> Any:
        """The config of one of the program's own classes: whatever names nothing that is not allowed."""
        if isinstance(value, list):
            return [self._plain(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("class_name") in ("__numpy__", "__tensor__"):
            return self._numbers(value)
        if value.get("class_name") == "__bytes__":
            return {"class_name": "__bytes__", "config": {"value": str(value.get("config", {}).get("value"))}}
        if value.get("class_name") == "function":
            return self._function("activation", value)
        if "class_name" in value:
            return self.named(value, ANY)
        return {key: self._own_value(key, item) for key, item in value.items()}

    def _own_value(self, key: str, value: Any) -> Any:
        is_object = role_of(key) is not None and isinstance(value, (str, dict))
        return self._value(key, value) if is_object else self._plain(value)

    def _refuse_symbol(self, name: str, module: object, role: str) -> NoReturn:
        of = f" of {module!r}" if module else ""
        article = "an" if role[0] in "aeiou" else "a"
        raise UserError(
            f"{self.path} asks for {name!r}{of} as {article} {role}, which is not among the classes and "
            f"functions that are loaded from files: docs/security.md lists them, and says how to register "
            f"your own."
        )

    def _refuse(self, reason: str) -> NoReturn:
        raise UserError(f"{self.path} is refused: {reason}.")


class _Rounds(list):
    """The layers of a model; Keras goes through them until it has made every call.

    If calls wait for one another in a circle, or for an output that a layer does not have, it would go on
    for ever.
    """

    rounds = 0

    def __iter__(self) -> Iterator[Tree]:
        self.rounds += 1
        if self.rounds > ROUNDS_AT_MOST:
            raise UserError("its layers wait for one another's outputs")
        return super().__iter__()


def _takes_tensor(arguments: Any) -> bool:
    """Whether an output of a layer is among the arguments of a call; Keras would run another call at once."""
    if isinstance(arguments, dict):
        return any(map(_takes_tensor, arguments.values()))
    if not isinstance(arguments, list):
        return False
    if len(arguments) in (3, 4) and isinstance(arguments[0], str) and arguments[0] != CONSTANT:
        return True
    return any(map(_takes_tensor, arguments))


def _registered(name: object) -> Any:
    return tf.keras.utils.get_custom_objects().get(name) if isinstance(name, str) else None


def _is_own(name: object) -> bool:
    """Whether the running program registered a class or function under this name, and no library did."""
    found = _registered(name)
    return found is not None and str(getattr(found, "__module__", "")).split(".")[0] not in LIBRARIES


def _shown(value: object) -> str:
    """A value as a message shows it: short, and on one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
