"""Networks with the weights that --weights=imagenet stands for."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bnn_keras.settings.checkpoint import BEST, IMAGENET

if TYPE_CHECKING:
    from bnn_keras.runs.trained import TrainedNetwork

EDGE, CLASSES = 224, 1000  # of the published networks


def load(path: str, which: str) -> "TrainedNetwork":
    """Load a trained network, or a network of the zoo with its published weights.

    Args:
        path: one of its files; the name of a network if `which` is "imagenet".
        which: the weights: "best" or "last" of a run folder, or "imagenet".

    Raises:
        UserError: as of `bnn_keras.load` and `zoo.build`.
    """
    from bnn_keras.runs import trained

    return build(path) if which == IMAGENET else trained.load(path, which)


def load_other(path: str, which: str) -> "TrainedNetwork":
    """Load a network to compare with: with "imagenet" also a file, of a run folder its best weights.

    Args, result and errors are those of `load`.
    """
    from zoo import pretrained

    is_file = which == IMAGENET and path not in pretrained.PRETRAINED
    return load(path, BEST if is_file else which)


def build(
    name: str, image_size: int = EDGE, classes: int = CLASSES, settings: Mapping[str, Any] | None = None
) -> "TrainedNetwork":
    """A network of the zoo with its published weights, its classes, and how its authors prepare images.

    Args:
        name: of the network.
        image_size: edge in pixels.
        classes: outputs; weights of another number do not fit.
        settings: of the network.

    Raises:
        UserError: as of `zoo.build`.
    """
    import zoo
    from bnn_keras.data import imagenet
    from bnn_keras.runs import trained
    from zoo import pretrained, registry

    known = pretrained.published(name)
    all_settings = registry.pretrained_settings(name, settings or {})
    path = pretrained.find(name)  # first, as to build a large network takes a while
    model = zoo.build(name, (image_size, image_size, 3), classes, **all_settings)
    network = trained.load(path, model=model, note=known.description)
    trained_on = trained.TrainingData(imagenet.DATASET, kind="photographs", recipe=dict(known.evaluation))
    # Whatever lies beside the file in the cache is no run of it.
    return dataclasses.replace(network, class_names=imagenet.names(), config=None, trained_on=trained_on)
