"""The trained model that a conversion starts from."""

import dataclasses
from pathlib import Path

import tensorflow as tf

from bnn_keras.deploy.conversion import orientation as orientations
from bnn_keras.runs.trained import TrainedNetwork
from bnn_keras.settings.orientation import UPRIGHT, UPSIDE_DOWN


@dataclasses.dataclass(frozen=True)
class Source:
    """A model to convert.

    Args:
        network: the model, and what is known about it.
        name: of the model.
        output: the path of the .tflite file, unless another one is asked for.
        orientation: of the images that the model takes.
    """

    network: TrainedNetwork
    name: str
    output: Path
    orientation: str = UPRIGHT

    @property
    def model(self) -> tf.keras.Model:
        """The model itself."""
        return self.network.keras_model

    def turned(self) -> "Source":
        """The source for a file that takes its images upside down.

        Raises:
            UserError: the model takes upright images only.
        """
        network = dataclasses.replace(self.network, model=orientations.upside_down(self.model))
        return dataclasses.replace(self, network=network, orientation=UPSIDE_DOWN)


def source_of(network: TrainedNetwork) -> Source:
    """The source for a trained network. Its file goes beside the weights, unless told otherwise.

    Raises:
        UserError: it is a .tflite file already.
    """
    model, path = network.keras_model, network.path
    if network.config is None:
        return Source(network, model.name, path.with_suffix(".tflite"))
    return Source(network, network.config.model, path.with_name(f"{model.name}.tflite"))
