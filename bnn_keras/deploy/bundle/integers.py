"""The step of a conversion that turns 32-bit layers into integers, and the images that it needs."""

import dataclasses

import numpy as np

from bnn_keras import data
from bnn_keras.deploy.bundle.images import Compared
from bnn_keras.deploy.bundle.source import Source
from bnn_keras.deploy.quantize import calibration, int8, result
from bnn_keras.deploy.verification.report import Report
from bnn_keras.errors import UserError
from bnn_keras.settings.orientation import UPRIGHT
from bnn_keras.settings.quantization import LARGEST_LOSS


@dataclasses.dataclass(frozen=True)
class Int8:
    """How the 32-bit layers of a file become integers.

    Args:
        images: float32 [n, height, width, 3], which the ranges of activations come from.
        branch_bits: see `bnn_keras.deploy.quantize.int8.plan_of`.
        largest_loss: points of accuracy that the file may lose.
    """

    images: np.ndarray
    branch_bits: str | None = None
    largest_loss: float = LARGEST_LOSS

    def apply(
        self, source: Source, flatbuffer: bytes, report: Report, compared: Compared, runtime: str
    ) -> tuple[bytes, result.Quantized]:
        """Turn a float file into integers, and print what that changes.

        Args:
            source: of the model.
            flatbuffer, report: the float file, and how it was compared with the model.
            compared: the images to compare on.
            runtime: that the file will run on.

        Raises:
            UserError: the file was refused.
        """
        content, found = int8.quantize(
            source.model,
            flatbuffer,
            report,
            compared.images,
            compared.labels,
            self.images,
            self.branch_bits,
            runtime,
        )
        print("\n".join(result.lines(found)))
        result.require(found, self.largest_loss, source.model.name)
        return content, found


def calibration_images(source: Source, dataset: str | None, data_dir: str | None, number: int) -> np.ndarray:
    """Training images of the run, or of the data set that is given if the model is of no run.

    Args:
        source: of the model.
        dataset, data_dir: as for training; None if none is given.
        number: of images.

    Returns:
        float32 [n, height, width, 3], in the orientation that the model takes.

    Raises:
        UserError: there are none, or the data set is absent.
    """
    network, known = source.network, source.network.trained_on
    name = known.dataset or dataset
    if name is None:
        raise UserError(
            f"--quantize needs calibration images, and {network.path} is in no run folder: give --dataset, a "
            f"set with training images. Received: none."
        )
    examples = None if network.config is None else network.config.train_examples
    edge = source.model.input_shape[1]
    opened = data.open(name, data_dir or known.data_dir, edge, examples, augmentation=network.evaluated)
    found = network.prepared(opened)
    images = calibration.training_images(found, number)
    return images if source.orientation == UPRIGHT else images[:, ::-1, ::-1]
