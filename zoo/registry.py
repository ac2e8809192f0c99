"""Every network by its name: one builder, one list, one table of recipes."""

import inspect
import os
from collections.abc import Mapping
from types import ModuleType

import tensorflow as tf

from bnn_keras import weights
from bnn_keras.errors import UserError, one_of
from bnn_keras.nn import layers, normalization
from bnn_keras.settings.recipe import IMAGENET, Recipe
from zoo import binarydensenet, birealnet, bnext, meliusnet, mobilenet, recipes, resnet, resnete, shared

# A module here is one paper's: VARIANTS (settings by name), RECIPES (of each on ImageNet, by name),
# network(x, **settings), OTHER_RECIPES (on other data sets) if it has some, and
# NORMALIZATIONS (by those that are usual for the data) where its authors have others.
PAPERS: tuple[ModuleType, ...] = (meliusnet, binarydensenet, resnete, birealnet, resnet, mobilenet, bnext)
SMALLEST = 32  # pixels; below that the last sections would have no image left
PUBLISHED = ("params",)  # what a row of VARIANTS says besides the settings


def list_models() -> list[str]:
    """The names that `build` takes, sorted."""
    return sorted(name for paper in PAPERS for name in paper.VARIANTS)


def build(
    name: str,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    weights: str | os.PathLike | None = None,
    include_top: bool = True,
    classifier_activation: str | None = None,
    normalization: str | tuple | None = None,
    **overrides,
) -> tf.keras.Model:
    """Build a network of the zoo.

    Args:
        name: one of `list_models()`.
        input_shape: height, width (32 pixels and more) and 3 channels; RGB in [0, 255].
        classes: outputs of the classifier.
        weights: a file or run folder that `bnn_keras.weights.load` reads.
        include_top: False ends with the feature map, [batch, height / 32, width / 32, channels].
        classifier_activation: None gives logits.
        normalization: a name of `bnn_keras.nn.normalization`, a (mean, std) pair of triples, "none";
            None is its authors' own, see `normalization_of`.
        overrides: settings of the family in place of the variant's own, such as `stem`, `binary`,
            `pad_values`, `kernel_clip`.

    Returns:
        A functional model, [batch, height, width, 3] to [batch, classes].

    Raises:
        UserError: an unknown name or setting, an impossible shape, weights that do not fit.
    """
    paper = _paper(name)
    settings = {**variant(name), **overrides}
    _check(name, input_shape, classes, settings, paper)
    image = tf.keras.Input(input_shape, name="image")
    x = _normalize(image, normalization_of(name, settings) if normalization is None else normalization)
    x = paper.network(x, head=shared.Head(classes, include_top, classifier_activation), **settings)
    model = tf.keras.Model(image, x, name=name)
    if weights is not None:
        _load(model, weights)
    return model


def variant(name: str) -> dict:
    """The settings of a published variant."""
    row = _paper(name).VARIANTS[name]
    return {key: value for key, value in row.items() if key not in PUBLISHED}


def recipe(
    name: str, dataset: str = IMAGENET, kind: str = "photographs", chosen: str | os.PathLike | None = None
) -> Recipe:
    """The recipe of a network on some data.

    Args:
        name: one of `list_models()`.
        dataset, kind: name and kind of a `bnn_keras.data.Dataset`.
        chosen: the user's, a name or file that `zoo.recipes.load` takes. If None, it is the paper's own
            on the data sets that the paper trains on, and one that suits the kind of data elsewhere.

    Returns:
        The recipe. Kernels that become signs while they are trained do so after the share of the
        training that the paper's own recipe gives them, if the recipe itself does not say; networks
        without such kernels have no temperature.

    Raises:
        UserError: an unknown network or recipe, or a file that is none.
    """
    paper = _paper(name)
    own = {IMAGENET: paper.RECIPES[name], **getattr(paper, "OTHER_RECIPES", {})}
    published = recipes.load(paper.RECIPES[name])
    found = recipes.load(chosen or own.get(dataset, kind))
    if published.temperature_decay is None:
        return found.replace(temperature_decay=None)
    if found.temperature_decay is None:
        same_share = published.temperature_decay ** (published.epochs / found.epochs)
        return found.replace(temperature_decay=same_share)
    return found


def normalization_of(name: str, settings: Mapping | None = None, usual: str | None = None) -> str | tuple:
    """The constants that a network's authors normalise images with, by name or as (mean, std).

    Args:
        name: one of `list_models()`.
        settings: of the network; those with the thumbnail stem are for CIFAR.
        usual: what others normalise the data with, where they are known; the authors may not.
    """
    own = getattr(_paper(name), "NORMALIZATIONS", {})
    if usual is None:
        small = bool(own) and (settings or {}).get("stem") == "thumbnail"
        usual = "cifar10" if small else normalization.DEFAULT
    return own.get(usual, usual)


def _paper(name: str) -> ModuleType:
    for paper in PAPERS:
        if name in paper.VARIANTS:
            return paper
    raise one_of("model", name, list_models())


def _normalize(image, normalization_: str | tuple | None):
    constants = normalization.constants(normalization_)
    return image if constants is None else layers.Normalize(*constants, name="normalization")(image)


def _load(model: tf.keras.Model, path: str | os.PathLike) -> None:
    weights.load(model, path)


def _check(name: str, input_shape, classes: int, settings: dict, paper: ModuleType) -> None:
    valid = _settings(paper.network)
    for key in settings:
        if key not in valid:
            raise one_of(f"setting of {name}", key, sorted(valid))
    if len(input_shape) != 3 or input_shape[2] != 3:
        raise UserError(
            f"{name} takes images of height x width x 3 (RGB). Received: input_shape={tuple(input_shape)}."
        )
    if any(not isinstance(edge, int) or edge < SMALLEST for edge in input_shape[:2]):
        raise UserError(
            f"{name} takes images from {SMALLEST} x {SMALLEST} pixels up. "
            f"Received: input_shape={tuple(input_shape)}."
        )
    if not isinstance(classes, int) or classes < 1:
        raise UserError(f"{name} needs at least one class. Received: classes={classes!r}.")


def _settings(network) -> list[str]:
    """The keyword arguments of a network, those included that it hands on to its convolutions."""
    parameters = inspect.signature(network).parameters.values()
    own = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "head"]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        return own
    handed_on = inspect.signature(shared.activated_conv).parameters.values()
    return own + [p.name for p in handed_on if p.default is not p.empty and p.name != "strides"]
