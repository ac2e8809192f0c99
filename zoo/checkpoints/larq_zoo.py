"""The names that larq-zoo's weight files give to our layers.

The files have the older HDF5 form of Keras 2: a group for each layer, listed in the attribute
`layer_names`. A grouped convolution is several layers there and one kernel here.
"""

import re
from pathlib import Path

import numpy as np

from bnn_keras.errors import UserError
from bnn_keras.weights.hdf5_file import Group
from zoo.checkpoints import larq_zoo_unnamed

# Pattern of their layer's name, and our layer's name, in which {n} stands for the n-th number of the pattern
# plus one. A number called `part` is the group of a grouped convolution.
RULES: dict[str, list[tuple[str, str]]] = {
    "meliusnet": [
        (r"stem_s(\d+)_conv", "stem/conv{0}"),
        (r"stem_s(\d+)_groupconv_conv(?P<part>\d+)", "stem/conv{0}"),
        (r"stem_s(\d+)_bn", "stem/bn{0}"),
        (r"section_(\d+)_block_(\d+)_dense_bn", "section{0}_block{1}_dense/bn"),
        (r"section_(\d+)_block_(\d+)_dense_binconv", "section{0}_block{1}_dense/conv"),
        (r"section_(\d+)_block_(\d+)_improve_bn", "section{0}_block{1}_improvement/bn"),
        (r"section_(\d+)_block_(\d+)_improve_binconv", "section{0}_block{1}_improvement/conv"),
        (r"section_(\d+)_transition_bn", "section{0}_transition/bn"),
        (r"section_(\d+)_transition_pw", "section{0}_transition"),
        (r"head_bn", "head/bn"),
        (r"head_dense", "head"),
    ],
}


def read(file: Group, path: Path) -> dict[str, list[np.ndarray]]:
    """The weights in a file's outermost group by our layers' names, in the file's order.

    Raises:
        UserError: the file is not of larq-zoo, or of a family that has no rules here.
    """
    theirs = _arrays(file, path)
    unnamed = larq_zoo_unnamed.rename(theirs)
    if unnamed is not None:
        return unnamed
    for rules in RULES.values():
        names = {name: _translate(name, rules) for name in theirs}
        if all(names.values()):
            return _join(theirs, names)
    # Name the first layer that the best-fitting family does not have.
    best = max(RULES.values(), key=lambda rules: sum(_translate(name, rules) is not None for name in theirs))
    unknown = next(name for name in theirs if _translate(name, best) is None)
    raise UserError(
        f"{path} holds the layer {unknown!r}, which no family of larq-zoo read here has: "
        f"{', '.join(RULES)}, binarydensenet, resnete."
    )


def _arrays(file: Group, path: Path) -> dict[str, list[np.ndarray]]:
    root = file.groups.get("model_weights", file)
    if "layer_names" not in root.attributes:
        raise UserError(f"{path} is not a file of larq-zoo's: it lists no layer_names.")
    try:
        layers = {name: root.group(name) for name in _names(root, "layer_names")}
        weights = {
            name: [layer.array(key) for key in _names(layer, "weight_names")]
            for name, layer in layers.items()
        }
    except KeyError as error:
        raise UserError(f"{path} is not a file of larq-zoo's: it lists {error}, and lacks it.") from error
    return {name: arrays for name, arrays in weights.items() if arrays}


def _names(group: Group, attribute: str) -> list[str]:
    return [_text(name) for name in np.ravel(group.attributes[attribute])]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _translate(name: str, rules: list[tuple[str, str]]) -> tuple[str, int] | None:
    """Our layer's name and the part of it that their layer is."""
    for pattern, ours in rules:
        match = re.fullmatch(pattern, name)
        if match:
            part = int(match.groupdict().get("part") or 0)
            return ours.format(*(int(number) + 1 for number in match.groups())), part
    return None


def _join(theirs: dict[str, list[np.ndarray]], names: dict) -> dict[str, list[np.ndarray]]:
    parts: dict[str, dict[int, list[np.ndarray]]] = {}
    for name, arrays in theirs.items():
        ours, part = names[name]
        parts.setdefault(ours, {})[part] = arrays
    return {
        ours: [
            np.concatenate(arrays, axis=-1) for arrays in zip(*(found[i] for i in sorted(found)), strict=True)
        ]
        for ours, found in parts.items()
    }
