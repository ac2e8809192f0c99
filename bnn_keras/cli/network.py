"""The settings of a network of the zoo as --set gives them."""

from collections.abc import Sequence
from typing import Any

from bnn_keras.cli.flags import Flag
from bnn_keras.errors import UserError, one_of
from bnn_keras.settings.kinds import Setting, Text, parse_value

SET = Flag("set", Text("NAME=VALUE"), "a setting of the network; several are possible", repeated=True)
NORMALIZATION = Setting("constants of the normalisation", Text("the name of a data set, or none"))


def parse_settings(model: str, texts: Sequence[str]) -> dict[str, Any]:
    """The settings by their names, each in the type of its kind.

    Args:
        model: name of the network.
        texts: NAME=VALUE each.

    Raises:
        UserError: a text of another form, an unknown setting, or a value that is not valid.
    """
    from zoo import registry

    known = {**registry.settings_of(model), "normalization": NORMALIZATION}
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set takes NAME=VALUE. Received: {text!r}.")
        if name not in known:
            raise one_of(f"setting of {model}", name, sorted(known))
        found[name] = parse_value(f"The setting {name} of {model}", known[name].kind, value)
    return found
