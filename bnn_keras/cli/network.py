"""The settings of a network of the zoo as --set and --genotype give them."""

from collections.abc import Sequence
from typing import Any

from bnn_keras.cli.flags import PATH, Flag
from bnn_keras.errors import UserError, one_of
from bnn_keras.settings.kinds import Setting, Text, parse_value

SET = Flag("set", Text("NAME=VALUE"), "a setting of the network; several are possible", repeated=True)
GENOTYPE = Flag("genotype", PATH, "cells of --model=bnas: a JSON file, or the run folder of a search")
NORMALIZATION = Setting("constants of the normalisation", Text("the name of a data set, or none"))


def parse_settings(model: str, texts: Sequence[str], genotype: str | None = None) -> dict[str, Any]:
    """The settings by their names, each in the type of its kind.

    Args:
        model: name of the network.
        texts: NAME=VALUE each.
        genotype: the file with the cells of bnas, if one is given.

    Raises:
        UserError: a text of another form, an unknown setting, a value that is not valid, or a genotype for
            another network.
    """
    from zoo import registry

    known = {**registry.settings_of(model), "normalization": NORMALIZATION}
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set takes NAME=VALUE. Received: {text!r}.")
        if name not in known:
            raise one_of(f"setting of {model}", name, sorted(known))
        found[name] = parse_value(f"The setting {name} of {model}", known[name].kind, value)
    if genotype is None:
        return found
    if GENOTYPE.name not in registry.paper_of(model).files:
        raise UserError(f"--genotype is for --model=bnas. Received: {model}, which has cells of its own.")
    return registry.read_files(model, {**found, GENOTYPE.name: genotype})
