"""Every network by its name: one builder, one list, one table of recipes."""

import inspect
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from bnn_keras import weights as weights_files
from bnn_keras.errors import UserError, one_of
from bnn_keras.nn import layers, memory
from bnn_keras.nn import normalization as normalizations
from bnn_keras.settings import checkpoint
from bnn_keras.settings.augmentation import LARGEST_EDGE
from bnn_keras.settings.kinds import Number, Setting, convert_value
from bnn_keras.settings.recipe import IMAGENET, Recipe
from zoo import (
    binarydensenet,
    birealnet,
    bnas,
    bnext,
    meliusnet,
    mobilenet,
    pretrained,
    recipes,
    resnet,
    resnete,
    shared,
)
from zoo.paper import Paper

# A new paper is one more line here.
PAPERS: tuple[Paper, ...] = (
    meliusnet.PAPER,
    binarydensenet.PAPER,
    resnete.PAPER,
    birealnet.PAPER,
    resnet.PAPER,
    mobilenet.PAPER,
    bnext.PAPER,
    bnas.PAPER,
    bnas.OWN_CELLS,
)
EDGES = 32, LARGEST_EDGE  # pixels of an image; below 32 the last sections have nothing left
CLASSES = Number(1, 100_000, whole=True)
THUMBNAIL_BELOW = 50  # pixels of a photograph, as published

for _paper in PAPERS:
    if _paper.torch_naming:
        weights_files.register_torch_naming(_paper.torch_naming)
    if _paper.hdf5_reader:
        weights_files.register_hdf5_reader(_paper.hdf5_reader)


def list_models() -> list[str]:
    """The names that `build` takes, sorted.

    Example:
        >>> import zoo
        >>> [name for name in zoo.list_models() if name.startswith("bnext")]
        ['bnext18', 'bnext_l', 'bnext_m', 'bnext_s', 'bnext_t']
    """
    return sorted(name for paper in PAPERS for name in paper.variants)


def build(
    name: str,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    weights: str | os.PathLike | None = None,
    include_top: bool = True,
    classifier_activation: str | None = None,
    normalization: str | tuple | None = None,
    **overrides: Any,
) -> tf.keras.Model:
    """Build a network of the zoo.

    Args:
        name: one of `list_models()`.
        input_shape: height, width (32 pixels and more) and 3 channels; RGB in [0, 255].
        classes: outputs of the classifier.
        weights: a file or run folder that `bnn_keras.weights.load` reads; or "imagenet" for the published
            weights of `zoo.pretrained`, which are downloaded once, and whose settings the network gets.
        include_top: False ends with the feature map, [batch, height / 32, width / 32, channels].
        classifier_activation: None gives logits.
        normalization: a name of `bnn_keras.nn.normalization`, a (mean, std) pair of triples, or "none".
            None stands for the constants of the network's authors, see `normalization_of`.
        overrides: settings of the network in place of the variant's own; `settings_of(name)` lists
            them with their kinds. bnas also takes `genotype`, a file with its cells (`zoo.genotype.read`).

    Returns:
        A functional model, [batch, height, width, 3] to [batch, classes].

    Raises:
        UserError: an unknown name or setting, a value that is not valid, an impossible shape, weights that
            do not fit or cannot be downloaded, or a setting that contradicts the published weights.

    Example:
        >>> import zoo
        >>> model = zoo.build("meliusnet22", input_shape=(32, 32, 3), classes=10, stem="thumbnail")
        >>> model.output_shape
        (None, 10)
    """
    paper = paper_of(name)
    if weights == checkpoint.IMAGENET:
        given = overrides if normalization is None else {**overrides, "normalization": normalization}
        overrides = pretrained_settings(name, given)
        normalization = overrides.pop("normalization")
    settings = _checked(name, {**variant(name), **read_files(name, overrides)})
    _check_shape(name, input_shape, classes)
    if weights == checkpoint.IMAGENET:
        weights = pretrained.find(name)
    constants = normalizations.constants(
        normalization_of(name, settings) if normalization is None else normalization
    )
    image = tf.keras.Input(tuple(input_shape), name="image")
    with memory.checked_weights(name):
        x = image if constants is None else layers.Normalize(*constants, name="normalization")(image)
        x = paper.network(x, head=shared.Head(classes, include_top, classifier_activation), **settings)
    model = tf.keras.Model(image, x, name=name)
    if weights is not None:
        weights_files.load(model, weights)
    return model


def paper_of(name: str) -> Paper:
    """The paper that a network belongs to.

    Raises:
        UserError: there is no such network.
    """
    for paper in PAPERS:
        if name in paper.variants:
            return paper
    raise one_of("model", name, list_models())


def variant(name: str) -> dict[str, Any]:
    """The settings of a published variant."""
    return dict(paper_of(name).variants[name])


def settings_of(name: str) -> Mapping[str, Setting]:
    """Every setting of a network that `build` takes, with its kind.

    Example:
        >>> import zoo
        >>> zoo.settings_of("meliusnet22")["stem"].kind.valid
        'one of grouped, conv7x7, thumbnail'
    """
    return paper_of(name).settings


def read_files(name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a network, in which those that a file holds stand in place of the file's name.

    Args:
        name: one of `list_models()`.
        overrides: settings as `build` takes them.

    Raises:
        UserError: a file that cannot be read, or that gives a setting which is also given otherwise.
    """
    readers = paper_of(name).files
    found = {key: value for key, value in overrides.items() if key not in readers}
    for key in readers.keys() & overrides.keys():
        for setting, value in readers[key](overrides[key]).items():
            if setting in found:
                raise UserError(f"{key} gives {setting} already: leave out one of the two.")
            found[setting] = value
    return found


def torch_settings(name: str) -> dict[str, Any]:
    """The arguments of `build` with which a network computes what its authors' PyTorch checkpoint does."""
    return dict(paper_of(name).torch_settings)


def larq_zoo_settings(name: str) -> dict[str, Any]:
    """The arguments of `build` with which a network computes what larq-zoo's file does."""
    return dict(paper_of(name).larq_zoo_settings)


def pretrained_settings(name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `build` with which a network computes what its published weights were trained for.

    Args:
        name: one of `list_models()`.
        overrides: further arguments, as far as they are settings of the network or its `normalization`.

    Returns:
        All of them.

    Raises:
        UserError: no weights are known of this network, or it would be another network than theirs.
    """
    theirs = dict(pretrained.published(name).settings)
    network = all_settings(name, theirs)
    constants = normalizations.constants
    for key, value in overrides.items():
        if key == "normalization":
            same = constants(value) == constants(network[key])
        else:
            same = _checked_value(name, key, value) == network[key]
        if not same:
            raise UserError(
                f"The published weights of {name} belong to a network with {key}={network[key]}. "
                f"Received: {key}={value}."
            )
    return {**overrides, **theirs}


def all_settings(name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a network with their defaults, as far as its function names these.

    Args:
        name: one of `list_models()`.
        overrides: settings in place of the variant's own.
    """
    parameters = inspect.signature(paper_of(name).network).parameters
    defaults = {key: parameters[key].default for key in settings_of(name) if key in parameters}
    known = {key: value for key, value in defaults.items() if value is not inspect.Parameter.empty}
    settings = {**known, **variant(name), **overrides}
    return {"normalization": normalization_of(name, settings), **settings}


def recipe(
    name: str, dataset: str = IMAGENET, kind: str = "photographs", chosen: str | os.PathLike | None = None
) -> Recipe:
    """The recipe of a network on some data.

    Args:
        name: one of `list_models()`.
        dataset, kind: name and kind of a `bnn_keras.data.Dataset`.
        chosen: the user's, a name or file that `zoo.recipes.load` takes. If it is None, the recipe is
            the paper's own on the data sets that the paper trains on, and otherwise one that suits the
            kind of data.

    Returns:
        The recipe. Where the chosen recipe does not say when progressive kernels become signs, they do
        so after the same share of the training as in the paper's own recipe. A network without such
        kernels has no temperature.

    Raises:
        UserError: an unknown network or recipe, or a file that is not a recipe.
    """
    paper = paper_of(name)
    own = {IMAGENET: paper.recipes[name], **paper.other_recipes}
    published = recipes.load(paper.recipes[name])
    found = recipes.load(chosen or own.get(dataset, kind))
    if published.temperature_decay is None:
        return found.replace(temperature_decay=None)
    if found.temperature_decay is None:
        same_share = published.temperature_decay ** (published.epochs / found.epochs)
        return found.replace(temperature_decay=same_share)
    return found


def normalization_of(
    name: str, settings: Mapping[str, Any] | None = None, usual: str | None = None
) -> str | tuple:
    """The constants that a network's authors normalise images with, by name or as (mean, std).

    Args:
        name: one of `list_models()`.
        settings: of the network; those with the thumbnail stem are for CIFAR.
        usual: the constants that are usual for the data, where these are known.
    """
    own = paper_of(name).normalizations
    if usual is None:
        small = bool(own) and (settings or {}).get("stem") == shared.THUMBNAIL
        usual = "cifar10" if small else normalizations.DEFAULT
    return own.get(usual, usual)


def default_stem(name: str, kind: str, image_size: int) -> str | None:
    """The stem of a network where the user gives none: the thumbnail stem for small photographs.

    Digits are upsampled and need no detail; the network's own stem is faster there.

    Args:
        name: one of `list_models()`.
        kind: of the data, as in `bnn_keras.data.Dataset`.
        image_size: edge in pixels.

    Returns:
        The name of the stem, or None for the network's own.
    """
    stem = settings_of(name).get("stem")
    has_thumbnail = stem is not None and shared.THUMBNAIL in getattr(stem.kind, "values", ())
    return shared.THUMBNAIL if has_thumbnail and kind != "digits" and image_size < THUMBNAIL_BELOW else None


def _checked(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in the types of their kinds."""
    checked = {key: _checked_value(name, key, value) for key, value in settings.items()}
    paper_of(name).check(checked)
    return checked


def _checked_value(name: str, key: str, value: object) -> Any:
    known = settings_of(name)
    if key not in known:
        raise one_of(f"setting of {name}", key, sorted(known))
    return convert_value(f"The setting {key} of {name}", known[key].kind, value)


def _check_shape(name: str, input_shape: tuple[int, ...], classes: int) -> None:
    if len(input_shape) != 3 or input_shape[2] != 3:
        raise UserError(
            f"{name} takes images of height x width x 3 (RGB). Received: input_shape={tuple(input_shape)}."
        )
    smallest, largest = EDGES
    if not all(isinstance(edge, int) and smallest <= edge <= largest for edge in input_shape[:2]):
        raise UserError(
            f"{name} takes images from {smallest} x {smallest} pixels up, to {largest} x {largest}. "
            f"Received: input_shape={tuple(input_shape)}."
        )
    convert_value(f"The number of classes of {name}", CLASSES, classes)
