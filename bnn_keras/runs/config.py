"""The configuration of a run: one dataclass, which is what config.json holds."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from bnn_keras.json_file import read_json
from bnn_keras.settings.augmentation import Kind
from bnn_keras.settings.distillation import DistillationSettings
from bnn_keras.settings.preprocessing import Preprocessing
from bnn_keras.settings.recipe import Recipe
from bnn_keras.settings.search import SearchSettings

# A run with another value of a field that decides the weights is another run. The other fields say how a
# run is carried out; it can be resumed with other values of them.
DECIDES: dict[str, Any] = {"decides": True}
NEUTRAL: dict[str, Any] = {"decides": False}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Every resolved setting of a run, and the versions that it was made with.

    Args:
        model: name of the network.
        overrides: settings of the network that differ from the published ones.
        dataset: as `bnn_keras.data.open` takes it.
        data_dir: where TensorFlow Datasets keeps the data set.
        train_examples: number of training images, if not all of them.
        strict: whether broken images are refused.
        kind: of the data, see `bnn_keras.data.Dataset`.
        image_size: edge in pixels.
        classes: outputs of the network.
        normalization: the constants that are usual for the data set.
        recipe: of the training; its augmentation is the effective one (`Augmentation.effective`), and was the
            one that was asked for in earlier versions.
        seed: of the weights, the order and the augmentation of the images.
        weights: the checkpoint that the training starts from, if any.
        views: fixed views of each image, if they are fixed.
        distillation: the teachers and how they teach, if there are any.
        teaching: the settings of distillation as the user gave them, if there is a teacher.
        search: the settings of the search, if the run is one.
        sync_batch_norm: whether BatchNorm takes its statistics over the images of all replicas.
        checkpoint_steps: steps between checkpoints.
        replicas: of the strategy.
        data_service: HOST:PORT of the tf.data service that decodes.
        environment: versions of packages, and the git revision.
    """

    model: str = field(metadata=DECIDES)
    overrides: dict[str, Any] | None = field(default=None, metadata=DECIDES)
    dataset: str = field(metadata=DECIDES)
    data_dir: str | None = field(default=None, metadata=NEUTRAL)
    train_examples: int | None = field(default=None, metadata=DECIDES)
    strict: bool = field(default=False, metadata=NEUTRAL)
    kind: Kind = field(metadata=DECIDES)
    image_size: int = field(metadata=DECIDES)
    classes: int = field(metadata=DECIDES)
    normalization: str = field(metadata=DECIDES)
    recipe: Recipe = field(metadata=DECIDES)
    seed: int = field(default=0, metadata=DECIDES)
    weights: str | None = field(default=None, metadata=DECIDES)
    views: int | None = field(default=None, metadata=DECIDES)
    distillation: dict[str, Any] | None = field(default=None, metadata=DECIDES)
    teaching: DistillationSettings | None = field(default=None, metadata=NEUTRAL)
    search: SearchSettings | None = field(default=None, metadata=DECIDES)
    sync_batch_norm: bool = field(default=False, metadata=DECIDES)
    checkpoint_steps: int | None = field(default=None, metadata=NEUTRAL)
    replicas: int = field(default=1, metadata=NEUTRAL)
    data_service: str | None = field(default=None, metadata=NEUTRAL)
    environment: dict[str, str | None] | None = field(default=None, metadata=NEUTRAL)

    @classmethod
    def read(cls, path: Path) -> "RunConfig":
        """Read a config.json, also one of an earlier version, which may lack newer keys.

        Raises:
            UserError: the file cannot be read, or is not the configuration of a run.
        """
        return read_json(path, cls, "the configuration of a run")

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image becomes the input of the network."""
        return Preprocessing.of(self.recipe, self.kind, self.image_size)

    def to_dict(self) -> dict[str, Any]:
        """The settings by their names, the recipe's in a dictionary of its own."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """The text of config.json."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def differences(self, other: "RunConfig") -> Iterator[tuple[str, Any, Any]]:
        """The settings that decide the weights and have another value in `other`.

        Yields:
            The name of a setting, its value here, and its value there. Settings of the network are named
            as in "overrides.normalization", because some data sets have a setting of the same name.
        """
        here, there = _deciding_values(self), _deciding_values(other)
        for name in {**here, **there}:
            if here.get(name) != there.get(name):
                yield name, here.get(name), there.get(name)


def _deciding_values(config: RunConfig) -> dict[str, Any]:
    values: dict[str, Any] = {}
    config = dataclasses.replace(config, recipe=config.recipe.effective(config.kind))
    # As config.json would hold them: tuples become lists.
    flat = json.loads(config.to_json())
    for each in dataclasses.fields(config):
        value = flat[each.name]
        if not each.metadata["decides"]:
            continue
        if isinstance(value, Mapping):
            prefix = f"{each.name}." if each.name == "overrides" else ""
            values |= {f"{prefix}{key}": part for key, part in value.items()}
        elif value is not None:
            values[each.name] = value
    return values
